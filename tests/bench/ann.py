"""Stage one at a recall@10 of 0.95: each kind of index beside an exact scan of faiss, in one run on one machine.

    python -m tests.bench.ann [--vectors 100000] [--dim 256] [--queries 500] [--threads 1]

Vectors are made up: 1,000 clusters whose spread falls off over the dimensions as 1/√i, turned at random; queries come
from the same clusters. For each kind the fewest lists that reach the recall are looked for, with the codes alone and
with an exact re-rank of 4 times as many answers by their vectors. Printed are the seconds to train and add, bytes a
vector, queries a second one at a time and in one batch, and how often that is faiss's Flat, measured in turn with each.
The machine's limits are probed in the same run: a product of two matrices, and reading the vectors.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import faiss
import numpy as np

from smart_jobs.index import build, check, tuning
from smart_jobs.search import ann

KINDS = (None, "IVF,SQ8", "IVF,RaBitQ", "IVF,RaBitQ4", "IVF,PQ{quarter}x4fs")
K, WANTED = 10, 0.95


@dataclass(frozen=True, slots=True)
class Corpus:
    """Vectors (n, d) with their ids, and queries (q, d)."""

    ids: np.ndarray
    vectors: np.ndarray
    queries: np.ndarray

    def recall(self, answers: np.ndarray) -> float:
        """The share of the exact ten nearest among the answers (q, m)."""
        own = np.full(len(self.queries), -1)
        batches = lambda: [(self.ids, self.vectors)]  # noqa: E731
        return float(check.recalls(self.queries, own, [answers], [answers.shape[1]], batches, K)[0, 0])


def main() -> None:
    """Print a line for Flat, and one for each kind and way of ranking."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vectors", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    faiss.omp_set_num_threads(options.threads)
    corpus = make(options.vectors, options.dim, options.queries)
    print(f"{options.vectors:,} x {options.dim}, {options.queries} queries, {options.threads} threads")
    probe(corpus)
    flat = faiss.IndexFlatIP(options.dim)
    flat.add(corpus.vectors)
    print(f"{'Flat':<24}{'':>8}{'':>8}{4 * options.dim:>8,} B{speeds(lambda some: flat.search(some, K), corpus)}")
    for kind in KINDS:
        factory = kind and kind.format(quarter=options.dim // 2)
        measure(corpus, factory, flat)


def make(count: int, dim: int, queries: int) -> Corpus:
    """Unit vectors in clusters, and queries beside them."""
    random = np.random.default_rng(0)
    turn = np.linalg.qr(random.normal(size=(dim, dim)))[0].astype(np.float32)
    spread = np.arange(1, dim + 1, dtype=np.float32) ** -0.5
    centres = random.standard_normal((1_000, dim), np.float32) * spread
    points = centres[random.integers(0, 1_000, count + queries)]
    points += 0.7 * random.standard_normal(points.shape, np.float32) * spread
    points = points @ turn
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return Corpus(np.arange(count, dtype=np.int64), points[:count], points[count:])


def probe(corpus: Corpus) -> None:
    """What the machine does at best: multiply-adds of a matrix product, and bytes read."""
    some = corpus.vectors[:16_384]
    product = len(corpus.queries) * some.size / 1e9 / best(lambda: corpus.queries @ some.T)
    reading = corpus.vectors.nbytes / 1e9 / best(corpus.vectors.max)
    print(f"sgemm {product:.0f} GMAC/s, reading {reading:.1f} GB/s")


def measure(corpus: Corpus, factory: str | None, flat: faiss.Index) -> None:
    """One line for the codes alone, one with the re-rank."""
    plan = build.plan(len(corpus.ids), corpus.queries.shape[1], factory)
    start = time.perf_counter()
    index = build.build(corpus.ids, corpus.vectors, plan)
    seconds, size = time.perf_counter() - start, len(build.save(index)) / len(corpus.ids)
    for name, answer in (("", codes_alone), (" + rerank", reranked)):
        nprobe, recall = fewest_lists(corpus, index, answer)
        line = f"{plan.factory + name:<24}{nprobe:>5} l.{recall:>8.3f}{size:>8,.0f} B"
        if recall < WANTED:
            print(f"{line}  built in {seconds:.1f} s: out of reach", flush=True)
            continue
        run = lambda some, nprobe=nprobe, answer=answer: answer(corpus, index, some, nprobe)  # noqa: E731
        print(f"{line}{speeds(run, corpus, lambda some: flat.search(some, K))}  built in {seconds:.1f} s", flush=True)


def codes_alone(_corpus: Corpus, index: faiss.Index, queries: np.ndarray, nprobe: int) -> np.ndarray:
    """Ten answers as the index ranks them."""
    return ann.candidates(index, queries, K, nprobe)[0]


def reranked(corpus: Corpus, index: faiss.Index, queries: np.ndarray, nprobe: int) -> np.ndarray:
    """The best ten by their vectors, of four times as many; an id is a row here."""
    found, _ = ann.candidates(index, queries, K * ann.RERANKED, nprobe)
    scores = np.einsum("qd,qmd->qm", queries, corpus.vectors[found], optimize=True)
    return np.take_along_axis(found, np.argsort(-scores, axis=1)[:, :K], axis=1)


Answer = Callable[[Corpus, faiss.Index, np.ndarray, int], np.ndarray]


def fewest_lists(corpus: Corpus, index: faiss.Index, answer: Answer) -> tuple[int, float]:
    """The first step of the ladder that reaches the recall, or all lists."""
    for nprobe in tuning.ladder(index.nlist):
        recall = corpus.recall(answer(corpus, index, corpus.queries, nprobe))
        if recall >= WANTED:
            break
    return nprobe, recall


Search = Callable[[np.ndarray], object]


def speeds(search: Search, corpus: Corpus, beside: Search | None = None) -> str:
    """Queries a second, one at a time and together; how often that is the other's, measured in turn."""
    parts = []
    for size, count in ((1, 50), (len(corpus.queries), 1)):
        batches = [corpus.queries[at * size : (at + 1) * size] for at in range(count)]
        mine, other = float("inf"), float("inf")
        for _ in range(3):
            mine = min(mine, timed(search, batches))
            other = min(other, timed(beside, batches)) if beside else other
        ratio = f" ({other / mine:5.1f} x)" if beside else ""
        parts.append(f"{size * count / mine:>9,.0f}/s{ratio}")
    return "".join(parts)


def timed(search: Search, batches: list[np.ndarray]) -> float:
    """Seconds for all batches, one after the other."""
    start = time.perf_counter()
    for batch in batches:
        search(batch)
    return time.perf_counter() - start


def best(work: Callable[[], object]) -> float:
    """The best of five times."""
    return min(timed(lambda _: work(), [np.empty(0)]) for _ in range(5))


if __name__ == "__main__":
    main()
