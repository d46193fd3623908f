"""What the measures, intervals and tests of an evaluation cost, and how often an interval holds the truth.

python -m tests.bench.measures
"""

import functools
import time
from collections.abc import Callable

import numpy as np

from smart_jobs.evaluate import intervals, judgements, parity
from smart_jobs.evaluate.parity import Parity

GAINS = np.array([0.0, 1.0, 0.6309, 0.5, 0.4307, 0.3869])
"""What nDCG@5 of one label takes as values."""

TRIALS = 1500


def best(work: Callable[[], object], times: int = 5) -> float:
    """Seconds of the fastest of a few."""
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def measuring(queries: int = 1000, candidates: int = 1000, labels: int = 1) -> None:
    """Seconds for 1,000 queries, one at a time and all at once."""
    random = np.random.default_rng(0)
    ranked = np.stack([random.permutation(candidates) for _ in range(queries)])
    relevant = [random.choice(candidates, labels, replace=False).tolist() for _ in range(queries)]
    grades = [random.integers(1, 4, labels).tolist() for _ in range(queries)]
    names = ranked[:, :100].tolist()
    numbers = {name: name for name in range(candidates)}
    cases: list[tuple[Parity, int]] = [("reference", 10), ("corrected", 10), ("corrected", 100)]
    for kind, depth in cases:
        numbered = functools.partial(judgements.judge, relevant, grades, numbers, kind)
        one = best(
            lambda kind=kind: [parity.measures(*query, kind) for query in zip(names, relevant, grades, strict=True)], 2
        )
        once = best(functools.partial(judgements.measure, ranked[:, :depth], numbered()))
        print(f"1,000 queries, {kind:9}, {labels:2} labels, depth {depth:3}: one at a time {1e3 * one:6.1f} ms, "
              f"judged in {1e3 * best(numbered):5.1f} ms, then {1e3 * once:5.2f} ms a scoring")  # fmt: skip


def costs() -> None:
    """Seconds for the interval of a task, of two runs' difference, and of a mean over 78 tasks."""
    random = np.random.default_rng(0)
    hits = (random.random((2, 8564)) < 0.8).astype(float)
    graded = random.choice(random.random(300), (2, 838))
    tasks = [[(random.random(1000) < 0.8).astype(float) for _ in range(78)] for _ in range(2)]
    print(f"interval: 8,564 hits {1e3 * best(lambda: intervals.mean([hits[0]])):.1f} ms, "
          f"838 queries of 300 values {1e3 * best(lambda: intervals.mean([graded[0]])):.1f} ms, "
          f"mean of 78 tasks {1e3 * best(lambda: intervals.mean(tasks[0])):.1f} ms")  # fmt: skip
    print(f"difference: 8,564 hits {1e3 * best(lambda: intervals.difference([hits[0]], [hits[1]]), 2):.1f} ms, "
          f"838 queries of 300 values {1e3 * best(lambda: intervals.difference([graded[0]], [graded[1]]), 2):.1f} ms, "
          f"mean of 78 tasks {1e3 * best(lambda: intervals.difference(*tasks), 2):.1f} ms")  # fmt: skip


def coverage(name: str, draw: Callable[[], list[np.ndarray]], truth: float) -> None:
    """The share of intervals that hold the truth: BCa, and between the plain percentiles of the same resamples."""
    held, tail = {"BCa": 0, "percentile": 0}, (1 - intervals.LEVEL) / 2
    for seed in range(TRIALS):
        intervals.SEED = seed
        tasks = draw()
        found = intervals.mean(tasks)
        low, high = np.quantile(intervals.resampled(intervals._counted(tasks)), [tail, 1 - tail])
        held["BCa"] += found.low - 1e-9 <= truth <= found.high + 1e-9
        held["percentile"] += low - 1e-9 <= truth <= high + 1e-9
    print(f"{name:28}" + "".join(f"{kind} {count / TRIALS:.3f}  " for kind, count in held.items()), flush=True)


def main() -> None:
    for labels in (1, 20):
        measuring(labels=labels)
    costs()
    random = np.random.default_rng(1)
    intervals.RESAMPLES = 2000
    for n, share in ((52, 0.7), (63, 0.95), (100, 0.9), (100, 0.98), (1000, 0.8)):
        coverage(f"{n} hits, {share}", lambda n=n, share=share: [(random.random(n) < share).astype(float)], share)
    weights = np.array([0.25, 0.5, 0.1, 0.07, 0.05, 0.03])
    for n in (20, 52, 500):
        coverage(f"{n} nDCG", lambda n=n: [random.choice(GAINS, n, p=weights)], float(GAINS @ weights))
    for n in (52, 300, 1000):
        coverage(f"{n} differences of hits", lambda n=n: [random.choice([-1.0, 0, 1], n, p=[0.03, 0.92, 0.05])], 0.02)
    shares = np.linspace(0.3, 0.97, 24)
    coverage("24 tasks of 60 hits", lambda: [(random.random(60) < p).astype(float) for p in shares], shares.mean())


if __name__ == "__main__":
    main()
