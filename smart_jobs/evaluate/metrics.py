"""Rankings with deterministic ties, and the measures of a ranking as trec_eval defines them."""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

ROWS = 64
"""Queries ranked at a time: keeps the temporaries of `rank` at a few times (64, n)."""

CUT = 10
DEEP_CUT = 100


def tie_break(ids: Sequence[str]) -> np.ndarray:
    """The place of each candidate among equals, (n,) int64: its rank by blake2b-64 of its id, then by the id itself.

    A hash favours no naming scheme, and depends on nothing but the id: the order in which candidates come is no part of
    a result. Ids have to be distinct.
    """
    digests = [hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest() for name in ids]
    order = sorted(range(len(ids)), key=lambda i: (digests[i], ids[i]))
    places = np.empty(len(ids), np.int64)
    places[order] = np.arange(len(ids))
    return places


def _order(keys: np.ndarray, depth: int) -> np.ndarray:
    """The first `depth` columns by ascending key, equal keys by column: (q, n) -> (q, depth). 0 < depth <= n."""
    q, n = keys.shape
    if depth == n:
        return np.argsort(keys, axis=1, kind="stable")
    last = np.partition(keys, depth - 1, axis=1)[:, depth - 1 : depth]
    before, tied = keys < last, keys == last
    room = depth - before.sum(axis=1, keepdims=True)
    chosen = before | (tied & (np.cumsum(tied, axis=1, dtype=np.int32) <= room))
    columns = np.nonzero(chosen)[1].reshape(q, depth)
    best = np.argsort(np.take_along_axis(keys, columns, axis=1), axis=1, kind="stable")
    return np.take_along_axis(columns, best, axis=1)


def rank(scores: np.ndarray, tie_break: np.ndarray, depth: int | None = None) -> np.ndarray:
    """Positions of the candidates, best first: (q, n) scores -> (q, min(depth, n)) int64; all n without a depth.

    By descending score, equal scores by ascending `tie_break` (n,), exactly, at the cut too. A score of -inf marks what
    is no candidate for that query: it comes last. Raises ValueError where a score is NaN.
    """
    q, n = scores.shape
    depth = n if depth is None else min(depth, n)
    if depth == 0:
        return np.empty((q, 0), np.int64)
    by_tie = np.argsort(tie_break)
    ranked = np.empty((q, depth), np.int64)
    for start in range(0, q, ROWS):
        block = scores[start : start + ROWS]
        if np.isnan(block).any():
            raise ValueError("a score is NaN")
        ranked[start : start + ROWS] = by_tie[_order(-block[:, by_tie], depth)]
    return ranked


def _dcg(gains: np.ndarray) -> float:
    """Σ gain / log2(rank + 1), ranks from 1, over the first ten."""
    top = gains[:CUT]
    return float(np.sum(top / np.log2(np.arange(2, len(top) + 2))))


def measure(gains: np.ndarray, ideal: np.ndarray) -> dict[str, float]:
    """The measures of one query, each 0 … 1.

    `gains` (depth,) are the grades of what was retrieved, in rank order, 0 where unjudged; `ideal` (r,) are all
    positive grades of the query, in any order, found or not. A grade of 0 or less is not relevant. Raises ValueError
    where `ideal` is empty: no measure is defined there.

    Sources: trec_eval 9. `ndcg@10` is its ndcg_cut_10 (m_ndcg_cut.c: linear gain, discount log2(rank + 1), after
    Järvelin and Kekäläinen 2002); `recall@k` its recall_k, the relevant among the first k over r; `mrr@10` its
    recip_rank of the first ten ranks, 0 where none is relevant; `map` its map (m_map.c): the mean over all r of the
    precision at each relevant rank, 0 for those not retrieved, over the ranking given.
    """
    if not len(ideal):
        raise ValueError("a query without a positive judgement has no measures")
    gains = np.maximum(np.asarray(gains, np.float64), 0.0)
    best = np.sort(np.asarray(ideal, np.float64))[::-1]
    ranks = np.flatnonzero(gains) + 1
    precisions = np.arange(1, len(ranks) + 1) / ranks
    return {
        "ndcg@10": _dcg(gains) / _dcg(best),
        "recall@10": np.count_nonzero(ranks <= CUT) / len(best),
        "recall@100": np.count_nonzero(ranks <= DEEP_CUT) / len(best),
        "mrr@10": float(1.0 / ranks[0]) if len(ranks) and ranks[0] <= CUT else 0.0,
        "map": float(precisions.sum()) / len(best),
    }


def evaluate(
    scores: np.ndarray,
    query_ids: Sequence[str],
    candidate_ids: Sequence[str],
    qrels: Mapping[str, Mapping[str, float]],
) -> dict[str, dict[str, float]]:
    """The measures of a run by query id: scores (q, n), row by row `query_ids`, column by column `candidate_ids`.

    The whole ranking is measured, without what scores -inf: that was not retrieved. A judged candidate that is not
    among `candidate_ids` counts as relevant and not found. Queries without a positive judgement are left out, as
    trec_eval does: they would only dilute the mean. Raises ValueError where a score is NaN.
    """
    columns = {name: column for column, name in enumerate(candidate_ids)}
    ranked = rank(scores, tie_break(candidate_ids))
    measured: dict[str, dict[str, float]] = {}
    for row, query in enumerate(query_ids):
        positive = {name: grade for name, grade in qrels.get(query, {}).items() if grade > 0}
        if not positive:
            continue
        grades = np.zeros(len(candidate_ids))
        for name in positive.keys() & columns.keys():
            grades[columns[name]] = positive[name]
        retrieved = ranked[row][scores[row, ranked[row]] > -np.inf]
        measured[query] = measure(grades[retrieved], np.array(list(positive.values())))
    return measured


def mean(per_query: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Each measure averaged over the queries, all of equal weight. Raises ValueError where there is no query."""
    if not per_query:
        raise ValueError("there is no query to average over")
    return {name: float(np.mean([measures[name] for measures in per_query])) for name in per_query[0]}
