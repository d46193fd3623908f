"""A task's late scores by parts on two workers, and beside the reference's padded float32 scorer.

    python -m tests.bench.scoring [--queries 1000] [--documents 10000] [--tokens 32] [--dim 256] [--slice 128]

Made-up states in a lake, int8; queries of a quarter to three quarters of `tokens` tokens, documents of half to one and
a half times as many. All queries with all documents, in parts on Ray: seconds, and the most memory that any process
had; one part is scored here too and has to be identical. Then the reference's way: every state as float32, documents
padded to the longest of a chunk, one [q, query tokens, c, document tokens] tensor a chunk (32 queries, 128 documents),
and ours, over the same `slice` queries and as many documents, in CPU seconds of one thread, in turn; once with the
lengths above, and once with lengths that are spread evenly over their logarithms from an eighth of `tokens` to eight
times as many, as images and videos are. What all pairs would take the reference is its time for a pair times the pairs:
an extrapolation, marked *.
"""

import argparse
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from smart_jobs import codec
from smart_jobs.evaluate import cuts, parts
from smart_jobs.evaluate.cuts import Pairs
from smart_jobs.evaluate.views import AS_STORED, View
from smart_jobs.flow.score_parts import Scorer
from smart_jobs.keys import Cluster
from smart_jobs.search import maxsim
from tests import scoring_making as making
from tests.bench.maxsim import einsum
from tests.jobs import ancestors
from tests.lake_making import pack

QUERIES, DOCUMENTS = 32, 128
"""Of a chunk, as in the reference's script."""
VIEWS = (AS_STORED, View(codec="binary"))


def main() -> None:
    """Make the lake, and print a line for every way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--documents", type=int, default=10_000)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--slice", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        whole(made(Path(folder), options), options)
    random, half = np.random.default_rng(0), options.tokens // 2
    even = (
        random.integers(half // 2, half + half // 2 + 1, options.slice),
        random.integers(half, 3 * half + 1, options.slice),
    )
    wide = np.exp(random.uniform(np.log(options.tokens / 8), np.log(8 * options.tokens), options.slice)).astype(int)
    for title, lengths in (("lengths as above", even[1]), ("lengths from 1/8 to 8", wide)):
        beside(title, even[0], lengths, options)


def made(folder: Path, options: Any) -> making.Lake:
    """Queries and documents, 500 segments a file."""
    half = options.tokens // 2
    names = [f"query {i}" for i in range(options.queries)], [f"document {i}" for i in range(options.documents)]
    lake = making.make(folder, names[0], [], dim=options.dim, per_file=500, tokens=(half // 2, half + half // 2 + 1))
    making.fill(lake.tables, [], names[1], per_file=500, tokens=(half, 3 * half + 1), epoch=2)
    return making.Lake(lake.tables, *map(tuple, names))


def whole(lake: making.Lake, options: Any) -> None:
    """Everything, on two workers."""
    queries, documents = lake.located(lake.queries, "query"), lake.located(lake.documents, "document")
    pairs = Pairs.all(options.queries, options.documents)
    tokens = int(queries.tokens.sum()), int(documents.tokens.sum())
    work, size = cuts.work(queries, documents, pairs), codec.size(tokens[1], options.dim, "int8")
    sides = f"{options.queries:,} queries of {tokens[0]:,} tokens x {options.documents:,} documents of {tokens[1]:,}"
    print(f"{sides}, d = {options.dim}, int8: {size / 1e6:,.0f} MB; {work / 1e12:.2f} T multiplications", flush=True)
    cutting = list(cuts.cut(queries, documents, pairs))
    with Scorer(Cluster(cpus=2), [lake.tables.lake]) as scorer:
        scorer._connect()
        spread(cutting[:2])
        start = time.perf_counter()
        found = scorer.score(queries, documents, pairs, [AS_STORED])
        alone = time.perf_counter() - start
        swept = scorer.score(queries, documents, pairs, VIEWS)
        both = time.perf_counter() - start - alone
        memory = f"most memory of a worker {workers() / 1e6:,.0f} MB, here {own() / 1e6:,.0f} MB"
    here = parts.score(cutting[0].part).late[0]
    assert (here == found.late[0, cutting[0].places]).all()
    assert (swept.late[0] == found.late[0]).all()
    rate = f"{alone:.1f} s, {work / alone / 1e9:,.0f} G multiplications a second"
    print(f"{len(cutting)} parts on 2 workers: {rate}; with binary codes beside {both:.1f} s; {memory}; "
          f"load {os.getloadavg()[0]:.1f}", flush=True)  # fmt: skip


def spread(some: Sequence[cuts.Cut]) -> None:
    """Let two workers load what they need before the clock starts."""
    import ray

    ray.get([ray.remote(parts.score).options(num_cpus=1).remote(cut.part) for cut in some])


def own() -> int:
    """The most bytes that this process has had in memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def workers() -> int:
    """The same of the largest process of this one's Ray."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            name, status = (path / "cmdline").read_text(), (path / "status").read_text()
        except OSError:
            continue
        if name.startswith("ray::") and os.getpid() in ancestors(int(path.name)):
            found.append(int(status.partition("VmHWM:")[2].split()[0]) * 1024)
    return max(found)


def beside(title: str, asked: np.ndarray, lengths: np.ndarray, options: Any) -> None:
    """The reference's scorer and ours over the same states, in turn, on one thread."""
    torch.set_num_threads(1)
    random = np.random.default_rng(1)
    queries, documents = (
        [codec.unit(random.standard_normal((int(n), options.dim), np.float32)) for n in counts]
        for counts in (asked, lengths)
    )
    packed, ragged = pack(documents, "int8"), maxsim.ragged(queries)
    stored = [codec.decode(codec.encode(rows, "int8"), *rows.shape, "int8") for rows in documents]
    theirs = [torch.from_numpy(rows) for rows in queries], [torch.from_numpy(rows) for rows in stored]
    times = []
    for _ in range(options.repeats):
        slow, padding = seconds(lambda: padded(*theirs))
        fast, exact = seconds(lambda: maxsim.late(ragged, packed, exact=True))
        np.testing.assert_allclose(padding, exact, atol=1e-5)
        times.append((slow, fast))
    slow, fast, ratio = (statistics.median(values) for values in zip(*((s, f, s / f) for s, f in times), strict=True))
    each = ", ".join(f"{s / f:.1f}" for s, f in times)
    every = slow / len(queries) / len(documents) * options.queries * options.documents
    print(f"{title}: slice of {len(queries)} x {len(documents)}, padded float32 {slow:.2f} CPU s, ours {fast:.2f}: "
          f"{ratio:.1f} times as fast ({each}); *all pairs the reference's way {every:,.0f} CPU s")  # fmt: skip


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds that it took, and what came of it."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def padded(queries: Sequence[torch.Tensor], documents: Sequence[torch.Tensor]) -> np.ndarray:
    """The reference's chunks, one after the other."""
    asked = [queries[first : first + QUERIES] for first in range(0, len(queries), QUERIES)]
    among = [documents[first : first + DOCUMENTS] for first in range(0, len(documents), DOCUMENTS)]
    return np.vstack([np.hstack([einsum(some, chunk) for chunk in among]) for some in asked])


if __name__ == "__main__":
    main()
