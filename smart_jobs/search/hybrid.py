"""Candidates, exact pooled and late scores over them, and ranked places: a page counts once, as its best passage."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from smart_jobs import codec
from smart_jobs.encode.spec import EncoderSpec
from smart_jobs.lake.layout import Snapshot
from smart_jobs.lake.rows import Rows, Scanned
from smart_jobs.lake.states import Ragged
from smart_jobs.records import Embedding, Hits
from smart_jobs.search import ann, exact, maxsim, nearest
from smart_jobs.search.opened import Opened

PLACE = ["asset_id", "page", "start"]
HELD = 512_000_000
"""Bytes of stored states that are held at a time, unless somebody says how many."""
QUERIES = 256
"""Queries that are answered together: the states of what any of them has for a candidate are read once."""
FRESH = 32
"""Queries that are compared at a time with everything that came after the index."""


@dataclass(frozen=True, slots=True)
class Weights:
    """score = pooled · cos(pooled) + late · mean-MaxSim."""

    pooled: float = 1.0
    late: float = 1.0

    def of(self, spec: EncoderSpec) -> "Weights":
        """These; without the pooled score where the model has none of its own: the states' mean finds candidates."""
        return self if spec.pooled_kind == "model" else Weights(0.0, self.late)


def search(  # noqa: PLR0913 (what a search can be told)
    lake: Opened,
    queries: Sequence[str | Embedding],
    k: int = 10,
    *,
    candidates: int | None = None,
    weights: Weights = Weights(),
    where: str | None = None,
    exhaustive: bool = False,
    fresh: bool = False,
    held: int = HELD,
) -> Hits:
    """The k best places for each query, as the id of each place's best segment; scores are exact.

    In two stages the index passes `candidates` segments on (None: as many as it was tuned for), and with `fresh` as
    many of those that came after it was built, found exactly; `exhaustive` scores every one. `where` is a SQL predicate
    over pooled's columns. Equal scores are ordered by segment id. An encoder that is multi-vector only has NaN for its
    pooled scores, and the late score for the whole. A query's answer does not depend on those that are asked beside it,
    not in a bit where the codec stores integers. Holds `held` bytes of states, or one segment's where those are more,
    and 4 · d bytes for each candidate of `QUERIES` queries.

    Raises JobError where the lake is empty, the index is not built, a text cannot be encoded, the predicate is wrong.
    """
    allowed = lake.allowed(where)
    asked = lake.embedded(queries)
    found = [_none(0, k)]
    for first in range(0, len(asked), QUERIES):
        some = asked[first : first + QUERIES]
        if not len(allowed):
            found.append(_none(len(some), k))
            continue
        rows = None
        if not exhaustive:
            vectors = np.stack([query.pooled for query in some])
            rows = stage_one(lake, vectors, candidates, allowed, filtered=where is not None, fresh=fresh)
        found.append(_best(lake, some, rows, allowed, k, weights.of(lake.snapshot.tables.spec), held))
    hits = Hits(*(np.concatenate([getattr(part, name) for part in found]) for name in Hits.__slots__))
    if lake.snapshot.tables.spec.pooled_kind != "model":
        hits.pooled[hits.ids >= 0] = np.nan
    return hits


def candidate_mask(rows: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """(q, n) bool: which of the sorted `ids` (n,) are among each query's candidates `rows` (q, c), -1 for none."""
    mask = np.zeros((len(rows), len(ids)), bool)
    at = np.searchsorted(ids, np.maximum(rows, 0)).clip(max=max(len(ids) - 1, 0))
    query = np.arange(len(rows))[:, None]
    mask[np.broadcast_to(query, rows.shape)[ids[at] == rows], at[ids[at] == rows]] = True
    return mask


def stage_one(
    lake: Opened,
    pooled: np.ndarray,
    candidates: int | None,
    allowed: np.ndarray,
    *,
    filtered: bool,
    fresh: bool = False,
) -> np.ndarray:
    """The index's candidates (q, c) int64 for queries (q, d), -1 for none; all of them are among `allowed` (sorted).

    `filtered` says that a predicate has chosen those. With `fresh` as many columns follow for segments that came after
    the index was built, nearest first. Raises JobError where it cannot be told which those are.
    """
    made = lake.made[1]
    wanted = candidates or made.candidates or ann.CANDIDATES
    fetched = min(wanted * ann.RERANKED if made.rerank else wanted, max(made.vectors, 1))
    if filtered:
        ids, _ = ann.candidates(lake.index, pooled, fetched, made.nprobe, allowed)
    else:
        ids = ann.present(lake.index, pooled, fetched, made.nprobe, allowed, lake.on_gpu)
    if made.rerank:
        ids = closest(lake, pooled, ids, wanted)
    return np.hstack([ids, _come(lake, pooled, allowed, wanted)]) if fresh else ids


def closest(lake: Opened, pooled: np.ndarray, rows: np.ndarray, k: int) -> np.ndarray:
    """The best `k` at most of each query's ids `rows` (q, n), -1 for none, by exact pooled score, best first."""
    found = np.unique(rows[rows >= 0])
    vectors, best = lake.rows.vectors(found), np.full((len(rows), min(k, rows.shape[1])), -1, np.int64)
    for row in range(len(rows)):
        ids = np.unique(rows[row][rows[row] >= 0])
        scores = exact.products(pooled[row : row + 1], vectors[np.searchsorted(found, ids)])[0]
        order = np.argsort(-scores, kind="stable")[:k]
        best[row, : len(order)] = ids[order]
    return best


def _come(lake: Opened, pooled: np.ndarray, allowed: np.ndarray, k: int) -> np.ndarray:
    """The `k` (at most) nearest of what has come since the index was built, (q, ≤ k), best first."""
    come = np.intersect1d(lake.come, allowed)
    vectors = lake.rows.vectors(come)
    parts = [pooled[first : first + FRESH] @ vectors.T for first in range(0, len(pooled), FRESH)]
    return np.vstack([come[np.argsort(-scores, axis=1, kind="stable")[:, :k]] for scores in parts])


def _stacked(queries: Sequence[Embedding]) -> Ragged:
    return maxsim.ragged([codec.unit(query.states) for query in queries])


def pooled_vectors(snapshot: Snapshot, ids: np.ndarray) -> np.ndarray:
    """(n, d) float32 of the segments `ids` (n,), sorted."""
    return Scanned(snapshot).vectors(ids)


def places(rows: Rows, ids: np.ndarray) -> np.ndarray:
    """(n,) int: equal for segments of the same page or clip, or of the same asset where there are neither."""
    found = rows.read(ids, PLACE)
    part = pc.coalesce(found["page"].cast(pa.string()), found["start"].cast(pa.string()), "")
    keys = pc.binary_join_element_wise(found["asset_id"], part, "#")
    return np.asarray(keys.combine_chunks().dictionary_encode().indices)


def _best(
    lake: Opened,
    queries: Sequence[Embedding],
    rows: np.ndarray | None,
    ids: np.ndarray,
    k: int,
    weights: Weights,
    held: int,
) -> Hits:
    """The k best places of each query's candidates `rows` (q, c); where that is None, of the segments `ids`, sorted."""
    if rows is not None:
        ids = np.unique(rows[rows >= 0])
    vectors, where = lake.rows.vectors(ids), places(lake.rows, ids)
    asked = np.stack([query.pooled for query in queries])

    def known(which: np.ndarray) -> np.ndarray:
        mask = None if rows is None else candidate_mask(rows, ids[which])
        scores = _pooled(asked, vectors[which], mask)
        return np.where(np.isfinite(scores), weights.pooled * scores, np.float32(-np.inf))

    blocks = (
        nearest.Block(ids[which], where[which], known(which), documents)
        for which, documents in lake.states.packed(ids, held)
    )
    best = nearest.best(_stacked(queries), blocks, k, weights.late)
    hits = Hits(best.ids, best.scores, np.full_like(best.scores, -np.inf), best.late)
    for row, there in enumerate(best.ids >= 0):
        found = vectors[np.searchsorted(ids, best.ids[row, there])]
        hits.pooled[row, there] = exact.products(asked[row : row + 1], found)[0]
    return hits


def _pooled(asked: np.ndarray, vectors: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """(q, n) float32: cosines of queries (q, d) and vectors (n, d), -inf where `mask` (q, n) is false."""
    if mask is None:
        return exact.products(asked, vectors)
    scores = np.full(mask.shape, -np.inf, np.float32)
    for row, chosen in enumerate(mask):
        scores[row, chosen] = exact.products(asked[row : row + 1], vectors[chosen])[0]
    return scores


def _none(queries: int, k: int) -> Hits:
    empty = [np.full((queries, k), -np.inf, np.float32) for _ in range(3)]
    return Hits(np.full((queries, k), -1, np.int64), *empty)
