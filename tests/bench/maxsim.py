"""Late interaction beside the reference's padded float32 einsum, and beside what the machine's products can do.

    python -m tests.bench.maxsim [--documents 100] [--tokens 1024] [--dim 2048] [--stacked 64] [--many 100]
                                 [--scifact 1000] [--spectrum 1000] [--repeats 5] [--threads 2]

C1: one query of 32 tokens against made-up ragged documents. C2: many queries against many. In both, states have a
spectrum that falls as hidden states' do, and each query's tokens lie near those of one document. C3: the best ten of
SciFact abstracts by MiniLM with int8 states (a real spectrum), pruned and not; with --spectrum of so many made-up
documents too, 2 MB each. C4: 2,000 documents of some 300 tokens and 128 dimensions, one query at a time, beside
maxsim-cpu where that is installed (`pip install maxsim-cpu`; its scores at 2,048 dimensions were wrong), whose scores
are looked at first. All ways of a part run in turn; medians, and ratios within a repeat. Products of 2,048 x 2,048
numbers are timed before and after each way: a share is the multiplications that the scores need (query tokens x
document tokens x dimensions) by the rate of those two; three digits multiply three times as much, which the share does
not credit. What is marked * ran over a slice of the documents and is multiplied.
"""

import argparse
import importlib.util
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import numpy as np
import torch

from smart_jobs import codec, config, settings
from smart_jobs.encode import checkpoint, encoder
from smart_jobs.evaluate import beir
from smart_jobs.lake.states import Packed, Ragged
from smart_jobs.search import compiled, maxsim, nearest
from tests.fixtures import FIXTURES
from tests.lake_making import make_segment, pack

QUERY, SQUARE, TOP = 32, 2048, 10


def main() -> None:
    """Run the parts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=100)
    parser.add_argument("--tokens", type=int, default=1024)
    parser.add_argument("--dim", type=int, default=2048)
    parser.add_argument("--stacked", type=int, default=64)
    parser.add_argument("--many", type=int, default=100)
    parser.add_argument("--slice", type=int, default=20, help="documents of C2 that the float32 ways score")
    parser.add_argument("--scifact", type=int, default=1000, help="abstracts of C3")
    parser.add_argument("--spectrum", type=int, default=0, help="made-up documents for C3 too, 2 MB each, 4 queries")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    kernel = compiled.kernel()
    path = {compiled.AMX: "AMX", compiled.VNNI: "VNNI"}[kernel.path] if kernel else "none"
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {os.cpu_count()} cores, compiled: {path}")
    random = np.random.default_rng(0)
    world = World.of(random, options.dim)
    documents, asked = made(world, options.documents, options.tokens, 1)
    query = maxsim.ragged(asked)
    measured(f"C1: one query, {options.documents} documents", ways(query, documents, options.documents),
             query, documents, options.repeats)  # fmt: skip
    documents, asked = made(world, options.many, options.tokens, options.stacked)
    queries = maxsim.ragged(asked)
    measured(f"C2: {options.stacked} queries, {options.many} documents", ways(queries, documents, options.slice),
             queries, documents, max(1, options.repeats // 2))  # fmt: skip
    beside_maxsim_cpu(World.of(random, 128), options.repeats)
    if options.scifact:
        pruned("abstracts", *scifact(options.scifact, 32), options.repeats)
    if options.spectrum:
        pruned("documents", *made(world, options.spectrum, options.tokens, 4), options.repeats)


@dataclass(frozen=True, slots=True)
class World:
    """Where made-up states come from: directions (d, d), of which the i-th has variance 1 / (i + 1)."""

    random: np.random.Generator
    directions: np.ndarray

    @classmethod
    def of(cls, random: np.random.Generator, dim: int) -> "World":
        """Random directions."""
        turned = np.linalg.qr(random.standard_normal((dim, dim), np.float32))[0]
        return cls(random, (turned * np.arange(1, dim + 1) ** -0.5).T.astype(np.float32))

    def document(self, tokens: int) -> np.ndarray:
        """(n, d) of norm 1: tokens around what the document is about."""
        about, each = self.random.standard_normal((1, len(self.directions)), np.float32), self.noise(tokens)
        return codec.unit(about @ self.directions + each)

    def query(self, document: np.ndarray) -> np.ndarray:
        """(m, d) of norm 1: tokens near some of a document's."""
        near = document[self.random.integers(0, len(document), QUERY)]
        noise = self.noise(QUERY)
        return codec.unit(near + 0.8 * noise / np.linalg.norm(noise, axis=1, keepdims=True))

    def noise(self, tokens: int) -> np.ndarray:
        """(n, d) around nothing."""
        drawn: np.ndarray = self.random.standard_normal((tokens, len(self.directions)), np.float32) @ self.directions
        return drawn


def made(world: World, count: int, tokens: int, queries: int) -> tuple[Packed, list[np.ndarray]]:
    """Documents of half to one and a half times `tokens` tokens, as int8, and queries about the first of them."""
    lengths = world.random.integers(tokens // 2, tokens * 3 // 2 + 1, count)
    parts, asked = [], []
    for n in lengths.tolist():
        states = world.document(n)
        parts.append(pack([states], "int8"))
        asked += [world.query(states)] if len(asked) < queries else []
    factors, rows = (np.concatenate([getattr(part, name) for part in parts]) for name in ("factors", "rows"))
    return Packed("int8", len(world.directions), factors, rows, np.concatenate([[0], np.cumsum(lengths)])), asked


@dataclass(slots=True)
class Way:
    """A way to get scores, the rate it is held to, and what its time must be multiplied with."""

    name: str
    score: Callable[[], np.ndarray]
    rate: str
    times: float = 1


def ways(queries: Ragged, documents: Packed, some: int) -> list[Way]:
    """The reference and ours in float32, over `some` of the documents, and ours over the codes of all of them."""
    count = len(documents.offsets) - 1
    part = documents.take(np.arange(some))
    values = part.factors[:, None] * part.rows.view(np.int8)
    split = [torch.from_numpy(rows) for rows in np.split(values, part.offsets[1:-1])]
    asked = [torch.from_numpy(rows) for rows in np.split(queries.values, queries.offsets[1:-1])]
    floats = Packed("float32", documents.dim, part.factors[:0], values.view(np.uint8), part.offsets)
    star = "* " if some < count else ""
    return [
        Way(f"{star}reference: padded float32 einsum", lambda: einsum(asked, split), "float32", count / some),
        Way(f"{star}ours, float32", lambda: maxsim.late(queries, floats), "float32", count / some),
        Way("ours, int8", lambda: maxsim.late(queries, documents), "int8"),
        Way("ours, int8, by torch", lambda: by_torch(queries, documents), "int8"),
        Way("ours, int8, the best ten alone", lambda: top(queries, documents), "int8"),
        Way("ours, int8, one digit (approximate)", lambda: maxsim.late(queries, documents, 1), "int8"),
    ]


def by_torch(queries: Ragged, documents: Packed) -> np.ndarray:
    """Late scores without the compiled kernel."""
    with mock.patch.object(compiled, "kernel", return_value=None):
        return maxsim.late(queries, documents)


def top(queries: Ragged, documents: Packed) -> np.ndarray:
    """(q, n): the best ten's late scores, exact, and -inf for the others."""
    scores = np.full((len(queries.offsets) - 1, len(documents.offsets) - 1), -np.inf, np.float32)
    found = best(queries, documents, prune=True)
    np.put_along_axis(scores, found.ids, found.late, axis=1)
    return scores


def einsum(queries: Sequence[torch.Tensor], documents: Sequence[torch.Tensor]) -> np.ndarray:
    """The reference evaluator's scores: both sides padded, a document's padding at the least float32, queries' at 0."""
    asked = torch.nn.utils.rnn.pad_sequence(list(queries), batch_first=True)
    stored = torch.nn.utils.rnn.pad_sequence(list(documents), batch_first=True)
    there = torch.arange(stored.shape[1]) < torch.tensor([len(rows) for rows in documents])[:, None]
    products = torch.einsum("bqd,ckd->bqck", asked, stored)
    products = products.masked_fill_(~there[None, None], torch.finfo(torch.float32).min)
    best = products.amax(dim=3)
    used = torch.arange(asked.shape[1]) < torch.tensor([len(rows) for rows in queries])[:, None]
    return ((best * used[:, :, None]).sum(dim=1) / used.sum(dim=1)[:, None]).numpy()


def probe(kind: str) -> float:
    """Multiplications a second of a product of float32 or int8."""
    one = torch.randint(-127, 128, (SQUARE, SQUARE), dtype=torch.int8)
    real = one.float()
    return SQUARE**3 / seconds((lambda: real @ real) if kind == "float32" else (lambda: torch._int_mm(one, one)))[0]


@dataclass(frozen=True, slots=True)
class Run:
    """Seconds that a way took, the rate probed around it, and bytes a second of reading the codes and no more."""

    seconds: float
    rate: float
    reading: float


def run(way: Way, codes: np.ndarray) -> Run:
    """One run of a way."""
    before = probe(way.rate)
    took = way.times * seconds(way.score)[0]
    rate = statistics.harmonic_mean([before, probe(way.rate)])
    return Run(took, rate, codes.nbytes / seconds(torch.from_numpy(codes).amax)[0])


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """How long, and what came of it."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def measured(title: str, ways: Sequence[Way], queries: Ragged, documents: Packed, repeats: int) -> None:
    """Run every way in turn and print medians, the ratio to the first way, and the share of the probed rate."""
    work = len(queries.values) * len(documents.rows) * documents.dim
    codes = documents.rows.reshape(-1)[: documents.rows.size // 8 * 8].view(np.int64)
    found = {way.name: way.score() for way in ways}
    runs = [[run(way, codes) for way in ways] for _ in range(repeats)]
    print(f"\n{title}: {documents.dim} dimensions, {len(documents.rows):,} states, {work / 1e9:.1f} G multiplications; "
          f"{repeats} repeats, load {os.getloadavg()[0]:.1f}")  # fmt: skip
    for kind in ("float32", "int8"):
        rates = [each.rate / 1e9 for row in runs for way, each in zip(ways, row, strict=True) if way.rate == kind]
        print(f"probed {kind}: " + spread(rates, "G multiplications a second"))
    print("reading the codes: " + spread([each.reading / 1e9 for row in runs for each in row], "GB a second"))
    exact = found["ours, int8"]
    for way, mine in zip(ways, zip(*runs, strict=True), strict=True):
        ratio = statistics.median(row[0].seconds / each.seconds for row, each in zip(runs, mine, strict=True))
        share = statistics.median(work / each.seconds / each.rate for each in mine)
        read = statistics.median(codes.nbytes / each.seconds / each.reading for each in mine)
        n = found[way.name].shape[1]
        there = np.isfinite(found[way.name])
        off = np.abs(found[way.name] - exact[:, :n])[there].max()
        times = spread([1e3 * each.seconds for each in mine], "ms")
        print(f"{way.name:<36} {times:<40} {ratio:6.2f} times the reference's speed, "
              f"{share:.2f} of {way.rate}'s, {read:.2f} of reading's; off by {off:.1e}, top {TOP} the same for "
              f"{agreeing(found[way.name], exact[:, :n])} of {len(exact)}")  # fmt: skip


def beside_maxsim_cpu(world: World, repeats: int) -> None:
    """C4: both over the same documents, theirs as the float32 that ours are stored codes of."""
    if importlib.util.find_spec("maxsim_cpu") is None:
        print("\nC4: maxsim-cpu is not installed")
        return
    import maxsim_cpu

    documents, asked = made(world, 2000, 300, 32)
    values = np.split(documents.factors[:, None] * documents.rows.view(np.int8), documents.offsets[1:-1])
    alone = [maxsim.ragged([query]) for query in asked]
    both = {
        "maxsim-cpu, float32": lambda: [maxsim_cpu.maxsim_scores_variable(query, values) for query in asked],
        "ours, int8": lambda: [QUERY * maxsim.late(query, documents)[0] for query in alone],
    }
    theirs, ours = (np.array(score()) for score in both.values())
    runs = [{name: seconds(score)[0] for name, score in both.items()} for _ in range(repeats)]
    sizes = f"{len(values)} documents, {len(documents.rows):,} states of 128 dimensions"
    print(f"\nC4: {sizes}, {len(asked)} queries one at a time; scores differ by {np.abs(theirs - ours).max():.1e} of "
          f"up to {QUERY}; load {os.getloadavg()[0]:.1f}")  # fmt: skip
    for name in both:
        print(f"{name:<36} {spread([1e3 * run[name] / len(asked) for run in runs], 'ms a query')}")
    first, second = both
    print(f"ours is {statistics.median(run[first] / run[second] for run in runs):.1f} times as fast")


def spread(values: Sequence[float], unit: str) -> str:
    """The median and the range."""
    return f"{statistics.median(values):,.1f} ({min(values):,.1f} ... {max(values):,.1f}) {unit}"


def agreeing(one: np.ndarray, other: np.ndarray) -> int:
    """Queries whose best ten are the same documents in the same order."""
    return int((np.argsort(-one)[:, :TOP] == np.argsort(-other)[:, :TOP]).all(axis=1).sum())


def pruned(what: str, documents: Packed, queries: list[np.ndarray], repeats: int) -> None:
    """The best ten of the documents, every one scored in full, and only those that may be among them."""
    alone = [maxsim.ragged([each]) for each in queries]
    for title, asked in (("one query at a time", alone), ("all at once", [maxsim.ragged(queries)])):
        runs = []
        for _ in range(repeats):
            found = {prune: seconds(lambda prune=prune, asked=asked: [best(each, documents, prune) for each in asked])
                     for prune in (False, True)}  # fmt: skip
            for whole, quick in zip(found[False][1], found[True][1], strict=True):
                assert (whole.ids == quick.ids).all()
                assert (whole.scores == quick.scores).all()
            runs.append([1e3 * found[prune][0] / len(queries) for prune in (False, True)])
        print(f"\nC3: {len(documents.offsets) - 1:,} {what}, {len(documents.rows):,} states of {documents.dim} "
              f"dimensions, {len(queries)} queries, {title}; load {os.getloadavg()[0]:.1f}")  # fmt: skip
        for name, times in zip(("exhaustive", "pruned"), zip(*runs, strict=True), strict=True):
            print(f"{name:<12} {spread(times, 'ms a query')}")
        share = statistics.median(quick / whole for whole, quick in runs)
        print(f"pruned takes {share:.2f} of exhaustive; ids and scores are identical")
    hopeful = [nearest._hopeful(each, block(each, documents), np.array([-np.inf]), TOP, 1.0).sum() for each in alone]
    print(f"scored in full: {spread(hopeful, 'documents a query')}")


def best(queries: Ragged, documents: Packed, prune: bool) -> nearest.Best:
    """The best ten by the late score alone."""
    return nearest.best(queries, [block(queries, documents)], TOP, prune=prune)


def block(queries: Ragged, documents: Packed) -> nearest.Block:
    """Every document a place of its own."""
    n = len(documents.offsets) - 1
    known = np.zeros((len(queries.offsets) - 1, n), np.float32)
    return nearest.Block(np.arange(n), np.arange(n), known, documents)


def scifact(count: int, queries: int) -> tuple[Packed, list[np.ndarray]]:
    """The first abstracts as int8 and the first queries, encoded by MiniLM."""
    folder = str(FIXTURES / "retrieval" / "scifact")
    job = config.load(settings.Evaluate, "evaluate", ["suite=beir", f"suite.path={folder}"])
    spec, weights = checkpoint.resolve(job.encoder, job)
    model = encoder.load(spec, weights, torch.get_num_threads(), batch_tokens=4096)
    texts = [f"{row.title} {row.text}".strip() for row in list(beir.corpus(folder))[:count]]
    asked = list(beir.load(folder).queries.values())[:queries]
    stored = [make_segment("d", "v", i, 1, text) for i, text in enumerate(texts)]
    others = [replace(make_segment("q", "v", i, 1, text), side="query") for i, text in enumerate(asked)]
    found = [result.states for result in model.encode([*others, *stored])]
    return pack(found[len(others) :], "int8"), [codec.unit(states) for states in found[: len(others)]]


if __name__ == "__main__":
    main()
