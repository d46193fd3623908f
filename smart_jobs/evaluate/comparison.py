"""Two runs over the same queries: what both measured, how they differ, and on which queries most."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from smart_jobs.evaluate import intervals
from smart_jobs.evaluate.leaderboard import PRIMARY, TASKS

FIRST = ("ndcg@10", "hit@1")
"""What stands for a task that is none of MMEB-V2: the first of these that was measured."""


def primary(task: str, measured: Collection[str]) -> str:
    """The measure that stands for a task: the leaderboard's for one of MMEB-V2, else nDCG@10, as BEIR has it.

    `measured` are the names to choose from, at least one; where no known one is there it is the first by name.
    """
    leading = [PRIMARY[modality] for modality, tasks in TASKS.items() if task in tasks]
    return next((name for name in (*leading, *FIRST) if name in measured), min(measured))


@dataclass(frozen=True, slots=True)
class Pair:
    """One measure of one task and scoring in both runs: the queries that both measured, in order, and their values.

    `base` and `run` are (q,) each; `only_base` and `only_run` count the queries that one run alone measured.
    """

    queries: tuple[str, ...]
    base: np.ndarray
    run: np.ndarray
    only_base: int
    only_run: int


def pair(base: Mapping[str, float], run: Mapping[str, float]) -> Pair:
    """The values of both runs by query, matched by the query's name."""
    queries = tuple(sorted(base.keys() & run.keys()))
    values = [np.array([side[query] for query in queries], np.float64) for side in (base, run)]
    return Pair(queries, values[0], values[1], len(base) - len(queries), len(run) - len(queries))


def summary(pairs: Sequence[Pair]) -> dict[str, float | int | None]:
    """Both means and what `intervals.Difference` says of `run` less `base`, over tasks of equal weight.

    A task without a query in both is no part of it; where none has one, all is None.
    """
    shared = [found for found in pairs if found.queries]
    if not shared:
        return dict.fromkeys(("base", "run", "difference", "low", "high", "p", "better", "worse", "equal"))
    sides = [found.base for found in shared], [found.run for found in shared]
    base, run = (float(np.mean([values.mean() for values in side])) for side in sides)
    found = intervals.difference(*sides)
    return {
        "base": base,
        "run": run,
        "difference": found.interval.mean,
        "low": found.interval.low,
        "high": found.interval.high,
        "p": found.p,
        "better": found.better,
        "worse": found.worse,
        "equal": found.equal,
    }


def changed(found: Pair, most: int) -> list[int]:
    """The places of up to `most` queries that changed, those that changed most first, equal ones by name."""
    size = np.abs(found.run - found.base)
    order = np.lexsort((np.arange(len(size)), -size))[:most]
    return [int(place) for place in order if size[place] > intervals.TIE]
