"""What each codec of hidden states costs in bytes and time, and what it does to retrieval.

    python -m tests.bench.codecs [--lake DIR] [--sets scifact xquad/en]

Encodes each set once with encoder=minilm and codec=float32 (into DIR/<set>, kept for the next time), then passes the
documents' states through each codec, merged before it or not, and scores them all; queries stay as they are. Prints
nDCG@10, and its difference from float32 with a 95 % interval of a paired bootstrap over the queries, in points. The
speeds are the best of a few times on one thread, in float32 bytes, over documents of their real lengths, beside a
memcpy of the same documents.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from smart_jobs import codec, config, settings
from smart_jobs.encode import checkpoint
from smart_jobs.encode.merging import merge
from smart_jobs.evaluate import measuring, opening, scoring
from smart_jobs.evaluate.cuts import Pairs
from smart_jobs.evaluate.scoring import Pool
from smart_jobs.evaluate.tasks import Task
from smart_jobs.flow import bringing, candidates, suite_items
from smart_jobs.flow.candidates import Corpus
from smart_jobs.lake import inventory, layout
from smart_jobs.lake.reader import StatesReader
from smart_jobs.lake.states import Ragged
from smart_jobs.records import Codec
from smart_jobs.search import maxsim
from tests.fixtures import FIXTURES
from tests.lake_making import pack

VARIANTS: list[tuple[Codec, int]] = [
    *((name, 1) for name in codec.CODECS),
    ("float32", 2),
    ("int8", 2),
    ("binary", 2),
]  # fmt: skip
RESAMPLES = 10_000
REPEATS = 15


def main() -> None:
    """Print both tables for every set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lake", help="folder of the lakes; a temporary one unless given")
    parser.add_argument("--sets", nargs="+", default=["xquad/en", "scifact"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name in options.sets:
            found = encoded(name, Path(options.lake or folder) / name.replace("/", "-"))
            speeds(name, found.documents)
            quality(name, found)


@dataclass(frozen=True, slots=True)
class Encoded:
    """A set at full precision: `vectors` (q, d) and `pooled` scores (q, n) of the queries, states of both sides."""

    task: Task
    corpus: Corpus
    vectors: np.ndarray
    pooled: np.ndarray
    queries: Ragged
    documents: list[np.ndarray]


def encoded(name: str, lake: Path) -> Encoded:
    """The set in a lake of its own, where it is encoded unless it is there."""
    folder = str(FIXTURES / "retrieval" / name)
    words = ["suite=beir", f"suite.path={folder}", f"lake={lake}", "codec=float32"]
    job = config.load(settings.Evaluate, "evaluate", words)
    suite = opening.opened(job.suite, job.encoder.family)
    task = suite.load(*suite.tasks())
    spec, _ = checkpoint.resolve(job.encoder, job)
    tables = layout.create_encoder(layout.create_lake(f"{lake}/evaluation"), spec, job.codec)
    suite_items.encode(suite, tables, job.encoder, bringing.Options.of(job))
    have = inventory.read(layout.snapshot(tables))
    documents = {name: item.asset("document", suite.root).id for name, item in task.candidates.items()}
    corpus = candidates.of_assets(have, list(documents), list(documents.values()))
    at, owner = candidates.find(have, [query.item.asset("query", suite.root).id for query in task.queries])
    asked = have.located(at[np.argsort(owner)])
    vectors, stored = (inventory.vectors(side.snapshot, side.ids, side.named()) for side in (asked, corpus.located))
    reader = StatesReader(have.snapshot)
    states = reader.read(corpus.located.ids)
    split = np.split(states.values, states.offsets[1:-1])
    return Encoded(task, corpus, vectors, vectors @ stored.T, reader.read(asked.ids), split)


def speeds(name: str, documents: Sequence[np.ndarray]) -> None:
    """GB/s of each codec both ways, beside memcpy."""
    some = [rows * np.float32(3) for rows in documents[:240]]  # as a model gives them: not of norm 1
    size = sum(rows.nbytes for rows in some) / 1e9
    print(f"\n{name}: {len(some)} documents, {sum(map(len, some)):,} states of {some[0].shape[1]} dimensions")
    print(f"{'memcpy':<8} {size / seconds(np.copy, some):6.2f} GB/s")
    for kind in codec.CODECS:
        into = size / seconds(lambda rows, kind=kind: codec.encode(rows, kind), some)
        stored = [(codec.encode(rows, kind), *rows.shape, kind) for rows in some]
        back = size / seconds(lambda data: codec.decode(*data), stored)
        print(f"{kind:<8} {into:6.2f} GB/s encode {back:6.2f} GB/s decode")
    few = some[:24]
    spent = seconds(lambda rows: merge(rows, 2), few) / len(few)
    print(f"{'merge 2':<8} {1e3 * spent:6.2f} ms a document of {np.mean([len(rows) for rows in few]):.0f} states")


def seconds(work: Callable[[Any], object], items: Sequence[Any]) -> float:
    """The best time of `work` on every item: what the machine does when nobody else is on it."""
    best = float("inf")
    for _ in range(REPEATS):
        start = time.perf_counter()
        for item in items:
            work(item)
        best = min(best, time.perf_counter() - start)
    return best


def quality(name: str, found: Encoded) -> None:
    """nDCG@10 of each variant, late and hybrid, with its difference from float32."""
    dim, tokens = found.documents[0].shape[1], sum(map(len, found.documents))
    print(f"\n{name}: {len(found.vectors)} queries x {len(found.documents)} documents, {tokens:,} states")
    exact: dict[str, np.ndarray] = {}
    for kind, factor in VARIANTS:
        documents = found.documents if factor == 1 else [merge(rows, factor) for rows in found.documents]
        late = late_scores(found.queries, documents, kind)
        size = codec.size(sum(map(len, documents)), dim, kind) / tokens
        line = f"{kind + (f' pool {factor}' if factor > 1 else ''):<14} {size:7.1f} bytes/token {4 * dim / size:5.1f} x"
        for scored, matrix in (("late", late), ("hybrid", found.pooled + late)):
            measured = ndcg(found, matrix)
            middle, low, high = difference(measured, exact.setdefault(scored, measured))
            line += f"  {scored} {100 * measured.mean():.2f} {middle:+.2f} ({low:+.2f} ... {high:+.2f})"
        print(line, flush=True)


def late_scores(queries: Ragged, documents: Sequence[np.ndarray], kind: Codec) -> np.ndarray:
    """(q, n) float32, a chunk of documents at a time."""
    starts = range(0, len(documents), 1024)
    return np.hstack([maxsim.late(queries, pack(documents[start : start + 1024], kind)) for start in starts])


def ndcg(found: Encoded, scores: np.ndarray) -> np.ndarray:
    """nDCG@10 of each judged query."""
    corpus, task = found.corpus, found.task
    q, n = scores.shape
    pool = Pool(corpus.names, corpus.group_of, corpus.columns, None, np.arange(q), Pairs.all(q, n))
    ranked = scoring.rankings(task, pool, scores.astype(np.float32).ravel(), None)
    return np.array([row["ndcg@10"] for row in measuring.of(task, corpus.names)(ranked).values()])


def difference(measured: np.ndarray, exact: np.ndarray) -> tuple[float, float, float]:
    """Mean difference in points, and its 95 % interval over resampled queries."""
    each = 100 * (measured - exact)
    random = np.random.default_rng(0)
    means = [each[random.integers(0, len(each), len(each))].mean() for _ in range(RESAMPLES)]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(each.mean()), float(low), float(high)


if __name__ == "__main__":
    main()
