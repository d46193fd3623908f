"""Rankings with deterministic ties, and the measures of a ranking as trec_eval defines them."""

import functools
import hashlib
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

from smart_jobs.evaluate.tasks import Name

N = TypeVar("N", bound=Name)
CUT = 10
DEEP_CUT = 100
NOT_RETRIEVED = 2.0**130
"""What sorts as the negated score -inf: beyond all of float32."""
POSITION = (1 << 29) - 1
"""The bits of a float64 that are 0 in whatever was a float32: room for the position."""


def tie_break(names: Sequence[Name], query: str) -> np.ndarray:
    """What puts candidates of equal score in order, (n,) uint64, the smallest first: a hash of query and name.

    blake2b of 8 bytes, read as a big-endian number, over the `query`'s key, NUL, the name, NUL, in UTF-8; a whole
    number is hashed as its digits. That is the rule of SMART's evaluator, and it favours no naming scheme.
    """
    start = hashlib.blake2b(f"{query}\0".encode("utf-8", "surrogatepass"), digest_size=8)
    digests = bytearray()
    for name in names:
        one = start.copy()
        one.update(f"{name}\0".encode("utf-8", "surrogatepass"))
        digests += one.digest()
    return np.frombuffer(digests, ">u8").astype(np.uint64)


def rank(
    scores: np.ndarray, names: Sequence[Name], dataset: str, depth: int | None = None, *, first: int = 0
) -> np.ndarray:
    """Positions of the candidates, best first: (q, n) float32 -> (q, min(depth, n)) int64; all n without a depth.

    Row i is the query of number `first` + i in the dataset, column j the candidate `names[j]`. By descending score;
    equal scores by `tie_break` with the key `dataset:number`, then by position (a pool may hold a name twice), exactly,
    at the cut too. Only what ties is hashed. A score of -inf marks what is no candidate for that query: it comes last,
    by position. Beside the result a few times (n,) are held. Raises ValueError where a score is NaN or not float32.
    """
    if scores.dtype != np.float32:
        raise ValueError(f"scores are {scores.dtype}, not float32: two that differ by rounding would not tie")
    depth = scores.shape[1] if depth is None else min(depth, scores.shape[1])
    ranked = np.empty((len(scores), depth), np.int64)
    for row in range(len(scores) if depth else 0):
        ranked[row] = _ranked(scores[row], names, f"{dataset}:{first + row}", depth)
    return ranked


def _ranked(scores: np.ndarray, names: Sequence[Name], query: str, depth: int) -> np.ndarray:
    """One row of `rank`: 0 < depth <= n."""
    packed = _packed(scores)
    if depth < len(packed):
        last = np.partition(packed, depth - 1)[depth - 1]
        packed = packed[packed <= max(_with(last, 0), _with(last, POSITION))]  # with all that tie with the last
    packed.sort()
    order, negated = packed.view(np.int64) & POSITION, _with(packed, 0)
    equal = np.flatnonzero(negated[1:] == negated[:-1])
    equal = equal[negated[equal] < NOT_RETRIEVED]
    if len(equal):
        tied = sorted({*equal.tolist(), *(equal + 1).tolist()})
        among = order[tied]
        hashes = tie_break([names[i] for i in among.tolist()], query)
        order[tied] = among[np.lexsort((among, hashes, negated[tied]))]
    return order[:depth]


def _packed(scores: np.ndarray) -> np.ndarray:
    """(n,) float64: the negated scores, with the position in the bits that a float32 leaves free, so one sort will do.

    Equal scores below 0 lie by position, above it against it.
    """
    lowest, highest = scores.min(), scores.max()
    if np.isnan(lowest):
        raise ValueError("a score is NaN")
    negated = (np.float32(0) - scores).astype(np.float64)  # no -0, which is not 0 as bits
    if np.isinf(lowest) or np.isinf(highest):
        np.clip(negated, -NOT_RETRIEVED, NOT_RETRIEVED, out=negated)  # infinity and a position is NaN
    negated.view(np.int64)[:] |= _positions(len(negated))
    return negated


def _with(packed: np.ndarray, position: int) -> np.ndarray:
    """The same negated scores (n,) float64, all with that position."""
    return (packed.view(np.int64) & ~POSITION | position).view(np.float64)


@functools.lru_cache(maxsize=1)
def _positions(count: int) -> np.ndarray:
    """(count,) int64; the same ones for each query of a task."""
    positions = np.arange(count)
    positions.flags.writeable = False
    return positions


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
    candidate_ids: Sequence[N],
    qrels: Mapping[str, Mapping[N, float]],
    dataset: str,
) -> dict[str, dict[str, float]]:
    """The measures of a run by query id: scores (q, n) float32, row by row `query_ids`, columns `candidate_ids`.

    Rows are all queries of the dataset, in its order: its name and their numbers break ties (`rank`). The whole ranking
    is measured, without what scores -inf: that was not retrieved. A judged candidate that is not among `candidate_ids`
    counts as relevant and not found. Queries without a positive judgement are left out, as trec_eval does: they would
    only dilute the mean. Raises ValueError where a score is NaN or not float32.
    """
    columns = {name: column for column, name in enumerate(candidate_ids)}
    measured: dict[str, dict[str, float]] = {}
    for row, query in enumerate(query_ids):
        positive = {name: grade for name, grade in qrels.get(query, {}).items() if grade > 0}
        if not positive:
            continue
        grades = np.zeros(len(candidate_ids))
        for name in positive.keys() & columns.keys():
            grades[columns[name]] = positive[name]
        ranked = rank(scores[row : row + 1], candidate_ids, dataset, first=row)[0]
        retrieved = ranked[scores[row, ranked] > -np.inf]
        measured[query] = measure(grades[retrieved], np.array(list(positive.values())))
    return measured


def mean(per_query: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Each measure averaged over the queries, all of equal weight. Raises ValueError where there is no query."""
    if not per_query:
        raise ValueError("there is no query to average over")
    return {name: float(np.mean([measures[name] for measures in per_query])) for name in per_query[0]}
