"""Exact score matrices -> measures and top hits under each scoring; a candidate scores as its best segment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from smart_jobs.evaluate import metrics
from smart_jobs.search.hybrid import Weights

TOP = 100
"""Hits that are kept for each query."""


@dataclass(frozen=True, slots=True)
class Scored:
    """Scores of the q queries of a task, in its order, with n segments, `pooled` and `late` (q, n) float32.

    A query that could not be encoded has -inf throughout. Segment i belongs to group `group_of[i]`; candidate
    `names[j]` scores as group `columns[j]`, by its best segment. `candidates` (q, n) bool marks the segments that the
    index passed on.
    """

    task: str
    queries: Sequence[str]
    names: Sequence[str]
    group_of: np.ndarray
    columns: np.ndarray
    pooled: np.ndarray
    late: np.ndarray
    candidates: np.ndarray


@dataclass(frozen=True, slots=True)
class Result:
    """One scoring: measures by query, and the best candidates with their scores, best first."""

    scoring: str
    measures: Mapping[str, Mapping[str, float]]
    hits: Mapping[str, list[tuple[str, float]]]

    def mean(self) -> dict[str, float]:
        """Each measure averaged over the judged queries."""
        return metrics.mean(list(self.measures.values()))


def results(scored: Scored, qrels: Mapping[str, Mapping[str, float]], weights: Weights, kind: str) -> list[Result]:
    """pooled, late and hybrid over every segment, and hybrid over what the index passed on.

    Where the encoder pools nothing, `kind` being `mean_states`, there is no pooled score and so no hybrid: late is all.
    """
    hybrid = weights.pooled * scored.pooled + weights.late * scored.late
    two_stage = np.where(scored.candidates, hybrid, np.float32(-np.inf))
    matrices = {"pooled": scored.pooled, "late": scored.late, "hybrid": hybrid, "two_stage": two_stage}
    if kind != "model":
        matrices = {"late": scored.late, "two_stage": two_stage}
    return [_result(name, matrix, scored, qrels) for name, matrix in matrices.items()]


def best_per_group(scores: np.ndarray, group_of: np.ndarray, count: int) -> np.ndarray:
    """(q, n) segment scores -> (q, count), the maximum over each group's segments; -inf where it has none."""
    best = np.full((scores.shape[0], count), -np.inf, scores.dtype)
    order = np.argsort(group_of, kind="stable")
    owners, first = np.unique(group_of[order], return_index=True)
    if len(owners):
        best[:, owners] = np.maximum.reduceat(scores[:, order], first, axis=1)
    return best


def _result(name: str, scores: np.ndarray, scored: Scored, qrels: Mapping[str, Mapping[str, float]]) -> Result:
    best = best_per_group(scores, scored.group_of, int(scored.columns.max()) + 1)[:, scored.columns]
    measures = metrics.evaluate(best, scored.queries, scored.names, qrels, scored.task)
    ranked = metrics.rank(best, scored.names, scored.task, TOP)
    hits = {
        query: [(scored.names[i], float(best[row, i])) for i in ranked[row] if best[row, i] > -np.inf]
        for row, query in enumerate(scored.queries)
    }
    return Result(name, measures, hits)
