"""Ranking 1,000 queries x 10,000 candidates: hashing what ties, beside hashing every pair as the reference does.

    python -m tests.bench.ranking [--queries 1000] [--candidates 10000] [--copies 10] [--some 100] [--repeats 5]

Scores are made up, float32, and in each row `copies` pairs of candidates score the same. Every pair is hashed for the
first `some` queries only, in turn with ours: the time grows with the queries. Either way a ranking is let go before the
next is made, as where measures are made of them. The order has to be identical, which is looked at beside the clock.
Then the measures of all queries, ranking included, beside pytrec_eval's for the same run, whose dictionaries
are made before the clock starts. Times are CPU seconds of one thread: other work on the machine changes them less.
"""

import argparse
import hashlib
import os
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytrec_eval
import torch

from smart_jobs.evaluate import metrics

DATASET = "made up"
Way = Callable[[np.ndarray, Sequence[str], int], np.ndarray]
THEIRS = {"ndcg@10": "ndcg_cut_10", "recall@100": "recall_100", "map": "map"}


def main() -> None:
    """Print both comparisons."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=1_000)
    parser.add_argument("--candidates", type=int, default=10_000)
    parser.add_argument("--copies", type=int, default=10)
    parser.add_argument("--some", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    scores = made(options.queries, options.candidates, options.copies)
    names = [f"document-{number}" for number in range(options.candidates)]
    print(f"{options.queries:,} x {options.candidates:,}, {options.copies} ties in a row, one thread, "
          f"numpy {np.__version__}, torch {torch.__version__}; load {os.getloadavg()[0]:.1f}")  # fmt: skip
    ordering(scores, names, options.some, options.repeats)
    measuring(scores, names)


def made(queries: int, candidates: int, copies: int) -> np.ndarray:
    """Scores (q, n) float32 in which pairs of columns tie, others in each row."""
    random = np.random.default_rng(0)
    scores = random.standard_normal((queries, candidates), np.float32)
    for row in scores:
        columns = random.choice(candidates, 2 * copies, replace=False)
        row[columns[:copies]] = row[columns[copies:]]
    return scores


def every_pair(scores: np.ndarray, names: Sequence[str], row: int) -> np.ndarray:
    """As the reference evaluator, one query: the candidates by their hash with it, then stably by score."""
    hashes = np.array([hashed(f"{DATASET}:{row}", name) for name in names], dtype=np.uint64)
    by_hash = torch.from_numpy(np.argsort(hashes, kind="stable"))
    by_score = torch.argsort(torch.from_numpy(scores[row])[by_hash], descending=True, stable=True)
    return by_hash[by_score].numpy()


def hashed(*parts: str) -> int:
    """The number that orders what ties."""
    hasher = hashlib.blake2b(digest_size=8)
    for part in parts:
        hasher.update(part.encode("utf-8", "surrogatepass"))
        hasher.update(b"\0")
    return int.from_bytes(hasher.digest(), "big")


def ties_alone(scores: np.ndarray, names: Sequence[str], row: int) -> np.ndarray:
    """One query, as `metrics.evaluate` asks for it."""
    return metrics.rank(scores[row : row + 1], names, DATASET, first=row)[0]


def all_of(way: Way, scores: np.ndarray, names: Sequence[str], some: int) -> None:
    """Rank the first queries, one after another."""
    for row in range(some):
        way(scores, names, row)


def ordering(scores: np.ndarray, names: Sequence[str], some: int, repeats: int) -> None:
    """The time of every pair hashed, some queries, and of ours, all of them, in turn; and of the first ten alone."""
    for row in range(some):
        assert np.array_equal(ties_alone(scores, names, row), every_pair(scores, names, row))
    runs = []
    for _ in range(repeats):
        theirs, _ = seconds(lambda: all_of(every_pair, scores, names, some))
        ours, _ = seconds(lambda: all_of(ties_alone, scores, names, len(scores)))
        runs.append((1e3 * theirs / some, 1e3 * ours / len(scores)))
    top, _ = seconds(lambda: metrics.rank(scores, names, DATASET, 10))
    ratios = [theirs / ours for theirs, ours in runs]
    for name, times in zip(("every pair hashed", "what ties hashed"), zip(*runs, strict=True), strict=True):
        print(f"{name:<20} {spread(times)} ms a query")
    print(f"identical order; {spread(ratios)} times as fast; "
          f"first ten alone: {1e3 * top / len(scores):.2f} ms a query")  # fmt: skip


def measuring(scores: np.ndarray, names: Sequence[str]) -> None:
    """Ten relevant candidates for each query: our measures beside pytrec_eval's."""
    random = np.random.default_rng(1)
    queries = [str(number) for number in range(len(scores))]
    qrels = {query: {names[at]: 1 for at in random.choice(len(names), 10, replace=False).tolist()} for query in queries}
    ours, found = seconds(lambda: metrics.evaluate(scores, queries, names, qrels, DATASET))
    run = {query: dict(zip(names, row.tolist(), strict=True)) for query, row in zip(queries, scores, strict=True)}
    evaluator = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.10", "recall.10,100", "map", "recip_rank"})
    theirs, expected = seconds(lambda: evaluator.evaluate(run))
    off = max(abs(metrics.mean(list(found.values()))[name] - np.mean([row[other] for row in expected.values()]))
              for name, other in THEIRS.items())  # fmt: skip
    print(f"measured, ranking included: ours {ours:.2f} s, pytrec_eval {theirs:.2f} s; means differ by {off:.1e} "
          "(it breaks ties by name)")  # fmt: skip


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds that it took, and what came of it."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def spread(values: Sequence[float]) -> str:
    """The median and the range."""
    return f"{statistics.median(values):,.2f} ({min(values):,.2f} ... {max(values):,.2f})"


if __name__ == "__main__":
    main()
