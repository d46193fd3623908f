"""Exact scores -> rankings, measures and hits under each scoring; a candidate scores as its best segment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from smart_jobs.evaluate import measuring, metrics
from smart_jobs.evaluate.cuts import Pairs
from smart_jobs.evaluate.measuring import Measure, Ranking
from smart_jobs.evaluate.tasks import Name, Task
from smart_jobs.search.hybrid import Weights

TOP = 100
"""Hits that are kept for each query."""


@dataclass(frozen=True, slots=True)
class Pool:
    """What the queries of a task rank: s segments, and n candidates that they stand for.

    Segment i belongs to group `group_of[i]`; candidate `names[j]` scores as group `columns[j]`, by its best segment.
    `rows` are each query's own candidates, as numbers, with repetitions; None: all of them in their order.
    `asked` (m,) are the numbers of the queries that could be encoded, and `pairs` the segments that each of them ranks.
    """

    names: Sequence[Name]
    group_of: np.ndarray
    columns: np.ndarray
    rows: Sequence[np.ndarray] | None
    asked: np.ndarray
    pairs: Pairs


@dataclass(frozen=True, slots=True)
class Matrices:
    """Scores (p,) float32 of all pairs, and which of them the index passed on, None where it was not asked.

    `late` has those of each view, the one that counts first.
    """

    pooled: np.ndarray
    late: np.ndarray
    passed: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """One scoring: measures by query, and the best candidates with their scores, best first."""

    scoring: str
    measures: Mapping[str, Mapping[str, float]]
    hits: Mapping[str, list[tuple[Name, float]]]

    def mean(self) -> dict[str, float]:
        """Each measure averaged over the measured queries; none where no query is."""
        return metrics.mean(list(self.measures.values())) if self.measures else {}


def results(task: Task, pool: Pool, found: Matrices, weights: Weights, kind: str) -> list[Result]:
    """pooled, late and hybrid over every segment, and hybrid over what the index passed on, where it did.

    Where the encoder pools nothing, `kind` being `mean_states`, there is no pooled score and so no hybrid: late is all.
    """
    scorings = {"late": found.late[0]}
    if kind == "model":
        scorings = {"pooled": found.pooled, **scorings, "hybrid": hybrid(found, weights)}
    if found.passed is not None:
        scorings["two_stage"] = np.where(found.passed, hybrid(found, weights), np.float32(-np.inf))
    measure = measuring.of(task, pool.names)
    return [_result(name, rankings(task, pool, scores, measuring.needed(task, TOP)), task, pool, measure)
            for name, scores in scorings.items()]  # fmt: skip


def hybrid(found: Matrices, weights: Weights, view: int = 0) -> np.ndarray:
    """(p,) float32: both scores by their weights, the late one of this view."""
    both: np.ndarray = np.float32(weights.pooled) * found.pooled + np.float32(weights.late) * found.late[view]
    return both


def rankings(task: Task, pool: Pool, scores: np.ndarray, depth: int | None) -> list[Ranking]:
    """Of every query of the task what it finds, best first, by scores (p,) of all pairs; the best `depth`, None: all.

    Equal scores are ordered by the hash that `metrics.rank` has for this task and query, a name given twice stands
    twice. A candidate without a segment is found by nobody, and a query that could not be encoded finds nothing.
    """
    found = [Ranking.nothing()] * len(task.queries)
    layout = None if pool.rows else _Layout.of(pool, 0)
    for at, query in enumerate(pool.asked.tolist()):
        own = layout or _Layout.of(pool, at)
        best = own.best(scores[pool.pairs.of(at)])
        order = metrics.rank(best[None], own.names, task.name, depth, first=query)[0]
        order = order[best[order] > -np.inf]
        found[query] = Ranking(own.candidates[order], best[order])
    return found


@dataclass(frozen=True, slots=True)
class _Layout:
    """What a query ranks: c `candidates`, called `names`; segment i counts for place[i], candidate j has groups[j]."""

    candidates: np.ndarray
    names: Sequence[Name]
    places: np.ndarray
    groups: np.ndarray

    @classmethod
    def of(cls, pool: Pool, at: int) -> "_Layout":
        """Of the query of this number among those that could be encoded."""
        everything = pool.rows is None
        candidates = np.arange(len(pool.names)) if pool.rows is None else pool.rows[int(pool.asked[at])]
        names = pool.names if everything else [pool.names[number] for number in candidates.tolist()]
        wanted, groups = np.unique(pool.columns[candidates], return_inverse=True)
        segments = slice(None) if pool.pairs.rows is None else pool.pairs.rows[at]
        return cls(candidates, names, np.searchsorted(wanted, pool.group_of[segments]), groups)

    def best(self, scores: np.ndarray) -> np.ndarray:
        """(c,) float32: of each candidate the score of its best segment, -inf where it has none."""
        found = np.full(int(self.groups.max(initial=-1)) + 1, -np.inf, np.float32)
        np.maximum.at(found, self.places, scores)
        best: np.ndarray = found[self.groups]
        return best


def _result(name: str, found: Sequence[Ranking], task: Task, pool: Pool, measure: Measure) -> Result:
    hits = {
        query.name: [
            (pool.names[number], float(score))
            for number, score in zip(ranking.candidates[:TOP].tolist(), ranking.scores[:TOP].tolist(), strict=True)
        ]
        for query, ranking in zip(task.queries, found, strict=True)
    }
    return Result(name, measure(found), hits)
