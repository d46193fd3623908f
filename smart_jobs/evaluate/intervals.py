"""How sure a mean over queries is, and the difference of two: bootstrap intervals and randomisation tests.

What is asked is always: had other queries of the same kind been drawn, what would the mean be? A mean over tasks is the
mean of their means, and its queries are drawn within each task: the tasks are the benchmark, no sample.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

RESAMPLES = 10_000
LEVEL = 0.95
SEED = 20260524
"""Every interval and test starts from it: the same values give the same numbers."""

EXACT = 1 << 16
"""Outcomes of the signs that are enumerated; a test with more draws `RESAMPLES` of them."""

CELLS = 1 << 21
"""Numbers that are drawn at a time: 16 MiB."""

DENSE = 12
"""Queries to a distinct value from which on it is cheaper to draw counts than queries: 100 ns each against 8."""

TIE = 1e-12
"""Values nearer to each other than this are equal: sums in another order."""

NORMAL = NormalDist()

Counted = tuple[np.ndarray, np.ndarray]
"""The distinct values (v,) of a task's queries, and how many queries have each (v,)."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean, and the ends of its 95 % interval; None where there is a single query to a task, which tells nothing."""

    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Difference:
    """The mean of a second run less that of a first over the same queries, its interval, and the test against none.

    `p` is two-sided. `better`, `worse` and `equal` count queries by their difference.
    """

    interval: Interval
    p: float
    better: int
    worse: int
    equal: int


def mean(tasks: Sequence[np.ndarray]) -> Interval:
    """The mean over tasks of the mean over each one's queries, values (q,) each; one task is a list of one.

    BCa bootstrap interval (Efron and Tibshirani 1993, ch. 14; for several samples DiCiccio and Efron 1996). Where all
    values of every task are equal it is that value alone, which says that resampling sees nothing, not that there is
    nothing to see. The order of queries and tasks is no part of the interval. Raises ValueError where there is no task,
    or one without a query.
    """
    counted = _counted(tasks)
    found = float(np.mean([np.mean(values) for values in tasks]))
    if any(counts.sum() < 2 for _, counts in counted):
        return Interval(found, None, None)
    drawn = resampled(counted)
    low, high = np.quantile(drawn, _shares(drawn, found, _acceleration(counted)))
    return Interval(found, float(low), float(high))


def difference(first: Sequence[np.ndarray], second: Sequence[np.ndarray]) -> Difference:
    """`second` less `first`, task by task and query by query: (q,) values each, in one order.

    The interval is that of `mean` over the queries' differences, the test the paired randomisation test over the same
    (Fisher's; Smucker, Allan and Carterette, CIKM 2007): which run a query's two values came from is settled by a coin.
    """
    tasks = [np.asarray(b, np.float64) - np.asarray(a, np.float64) for a, b in zip(first, second, strict=True)]
    gained = np.concatenate(tasks)
    better, worse = int((gained > TIE).sum()), int((gained < -TIE).sum())
    return Difference(mean(tasks), sign_flip(tasks), better, worse, len(gained) - better - worse)


def sign_flip(tasks: Sequence[np.ndarray]) -> float:
    """The share of all assignments of signs to the queries' differences whose mean is at least as far from 0.

    The mean is that over tasks, as in `mean`. Enumerated where there are at most `EXACT` outcomes (equal differences
    share one, so a hit or no hit always is; with one task that is the exact sign test, McNemar's). Else drawn, and then
    (1 + those as far) / (1 + drawn), which is never 0 (Phipson and Smyth 2010).
    """
    weighted = np.concatenate([np.asarray(values, np.float64) / (len(values) * len(tasks)) for values in tasks])
    sizes, counts = np.unique(np.abs(weighted[np.abs(weighted) > TIE]), return_counts=True)
    far = abs(float(weighted.sum())) - TIE
    if np.log(counts + 1.0).sum() <= math.log(EXACT):
        sums, shares = _outcomes(sizes, counts)
        return min(1.0, float(shares[np.abs(sums) >= far].sum()))
    return float((1 + (np.abs(_flipped(sizes, counts)) >= far).sum()) / (1 + RESAMPLES))


def _flipped(sizes: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(RESAMPLES,): sums of `counts` times each of `sizes` under signs of a fair coin; equal ones by their heads."""
    random = np.random.default_rng(SEED)
    single, total = sizes[counts == 1], np.zeros(RESAMPLES)
    for part in _blocks(len(single)):
        signs = 2.0 * random.integers(2, size=(part.stop - part.start, len(single)), dtype=np.int8) - 1
        total[part] = signs @ single
    for size, count in zip(sizes[counts > 1], counts[counts > 1], strict=True):
        total += size * (2 * random.binomial(count, 0.5, RESAMPLES) - count)
    return total


def _blocks(width: int) -> Iterator[slice]:
    """Parts of the resamples, `width` numbers each, that take no more than `CELLS` at a time."""
    size = max(1, CELLS // max(width, 1))
    for start in range(0, RESAMPLES, size):
        yield slice(start, min(start + size, RESAMPLES))


def _outcomes(sizes: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every sum of `counts` times each of `sizes` under signs of a fair coin, and its probability."""
    sums, shares = np.zeros(1), np.ones(1)
    for size, count in zip(sizes, counts, strict=True):
        heads = np.arange(count + 1)
        sums = (sums[:, None] + size * (2 * heads - count)).ravel()
        shares = (shares[:, None] * _binomial(int(count))).ravel()
    return sums, shares


def _binomial(count: int) -> np.ndarray:
    """(count + 1,): the probabilities of 0 … count heads."""
    factorials = np.array([math.lgamma(k + 1) for k in range(count + 1)])
    return np.asarray(np.exp(factorials[-1] - factorials - factorials[::-1] - count * math.log(2)))


def _counted(tasks: Sequence[np.ndarray]) -> list[Counted]:
    """The distinct values of each task and how often each is there, in an order of nothing but these."""
    if not tasks or any(not len(values) for values in tasks):
        raise ValueError("there is no query to average over")
    counted = [np.unique(np.asarray(values, np.float64), return_counts=True) for values in tasks]
    return sorted(counted, key=lambda pair: (pair[0].tolist(), pair[1].tolist()))


def resampled(counted: Sequence[Counted]) -> np.ndarray:
    """(RESAMPLES,): the mean over tasks of means over n values drawn with replacement from each task's n.

    How often each distinct value is drawn is multinomial: few distinct values, as hits have, cost next to nothing.
    """
    random = np.random.default_rng(SEED)
    total = np.zeros(RESAMPLES)
    for values, counts in counted:
        n = int(counts.sum())
        few = n > DENSE * len(values)
        for part in _blocks(len(values) if few else n):
            draw = _counts if few else _places
            total[part] += draw(random, values, counts, part.stop - part.start)
    return total / len(counted)


def _counts(random: np.random.Generator, values: np.ndarray, counts: np.ndarray, size: int) -> np.ndarray:
    n = int(counts.sum())
    return np.asarray(random.multinomial(n, counts / n, size) @ values / n)


def _places(random: np.random.Generator, values: np.ndarray, counts: np.ndarray, size: int) -> np.ndarray:
    every = np.repeat(values, counts)
    return np.asarray(every[random.integers(len(every), size=(size, len(every)))].mean(axis=1))


def _shares(drawn: np.ndarray, found: float, acceleration: float) -> tuple[float, float]:
    """The quantiles of `drawn` that BCa takes for the ends of the interval."""
    below = float(np.mean(drawn < found - TIE) + 0.5 * np.mean(np.abs(drawn - found) <= TIE))
    tail = (1 - LEVEL) / 2
    if not 0 < below < 1:
        return tail, 1 - tail
    bias = NORMAL.inv_cdf(below)
    ends = [bias + sign * NORMAL.inv_cdf(1 - tail) for sign in (-1, 1)]
    low, high = (NORMAL.cdf(bias + end / (1 - acceleration * end)) for end in ends)
    return low, high


def _acceleration(counted: Sequence[Counted]) -> float:
    """Σu³ / 6(Σu²)^1.5 over the queries' influences u on the mean; 0 where nothing differs."""
    squares, cubes = 0.0, 0.0
    for values, counts in counted:
        n = counts.sum()
        influence = (values - values @ counts / n) / n
        squares += float(influence**2 @ counts)
        cubes += float(influence**3 @ counts)
    return cubes / (6 * squares**1.5) if squares > TIE**2 else 0.0
