"""Candidates, exact pooled and late scores over them, and ranked places: a page counts once, as its best passage."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import QueryBuilder
from deltalake.exceptions import DeltaError

from smart_jobs import codec, storage
from smart_jobs.encode.spec import EncoderSpec
from smart_jobs.index import build, difference, manifest
from smart_jobs.index.manifest import Manifest
from smart_jobs.lake import layout, matrices, table
from smart_jobs.lake.layout import EncoderTables, Snapshot
from smart_jobs.lake.states import Ragged, StatesReader
from smart_jobs.records import Embedding, Hits, JobError
from smart_jobs.search import ann, maxsim, nearest

PLACE = ["segment_id", "asset_id", "page", "start"]
HELD = 512 << 20
"""Bytes of stored states that are held at a time."""


@dataclass(frozen=True, slots=True)
class Weights:
    """score = pooled · cos(pooled) + late · mean-MaxSim."""

    pooled: float = 1.0
    late: float = 1.0

    def of(self, spec: EncoderSpec) -> "Weights":
        """These; without the pooled score where the model has none of its own: the states' mean finds candidates."""
        return self if spec.pooled_kind == "model" else Weights(0.0, self.late)


def search(  # noqa: PLR0913 (what a search can be told)
    tables: EncoderTables,
    queries: Sequence[Embedding],
    k: int,
    *,
    candidates: int | None = None,
    weights: Weights = Weights(),
    where: str | None = None,
    exhaustive: bool = False,
    fresh: bool = False,
) -> Hits:
    """The k best places for each query, as the id of each place's best segment; scores are exact.

    In two stages the index passes `candidates` segments on (None: as many as it was tuned for), and with `fresh` as
    many of those that came after it was built, found exactly; `exhaustive` scores every one. `where` is a SQL predicate
    over pooled's columns. Equal scores are ordered by segment id. An encoder that is multi-vector only has NaN for its
    pooled scores, and the late score for the whole. Raises JobError where the lake is empty, the index is not built, or
    the predicate is wrong.
    """
    snapshot = layout.snapshot(tables)
    allowed = allowed_ids(snapshot, where)
    if not len(allowed):
        return _none(len(queries), k)
    if exhaustive:
        rows = np.broadcast_to(allowed, (len(queries), len(allowed)))
    else:
        vectors = np.stack([query.pooled for query in queries])
        rows = stage_one(snapshot, vectors, candidates, allowed, filtered=where is not None, fresh=fresh)
    found = np.unique(rows[rows >= 0])
    hits = _best(snapshot, queries, found, candidate_mask(rows, found), k, weights.of(tables.spec))
    if tables.spec.pooled_kind != "model":
        hits.pooled[hits.ids >= 0] = np.nan
    return hits


def candidate_mask(rows: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """(q, n) bool: which of the sorted `ids` (n,) are among each query's candidates `rows` (q, c), -1 for none."""
    mask = np.zeros((len(rows), len(ids)), bool)
    at = np.searchsorted(ids, np.maximum(rows, 0)).clip(max=max(len(ids) - 1, 0))
    query = np.arange(len(rows))[:, None]
    mask[np.broadcast_to(query, rows.shape)[ids[at] == rows], at[ids[at] == rows]] = True
    return mask


def allowed_ids(snapshot: Snapshot, where: str | None) -> np.ndarray:
    """Sorted ids of the rows that a predicate lets through. Raises JobError for an empty lake or a wrong predicate."""
    if snapshot.pooled.count() == 0:
        lake = snapshot.tables.lake.uri
        raise JobError(f"lake {lake}: nothing is encoded yet; `smart-jobs ingest source=… lake={lake}` does")
    if where is None:
        ids = table.read(snapshot.pooled, ["segment_id"])["segment_id"]
    else:
        try:
            query = f"SELECT segment_id FROM pooled WHERE {where}"
            found = QueryBuilder().register("pooled", snapshot.pooled).execute(query).read_all()
        except (DeltaError, ValueError, OSError) as error:
            raise JobError(f"where={where}: {' '.join(str(error).split())[:300]}") from error
        ids = pa.table(found)["segment_id"]
    return np.sort(ids.to_numpy())


def load_index(tables: EncoderTables) -> tuple[str, Manifest]:
    """The newest index. Raises JobError where none is built, or it is of another table."""
    found = manifest.newest(storage.join(tables.uri, "indexes"))
    lake = tables.lake.uri
    if found is None:
        raise JobError(f"lake {lake}: no index of {tables.spec.full_name}; run `smart-jobs index lake={lake}`, "
                       "or search with exhaustive=true")  # fmt: skip
    return found


def stage_one(
    snapshot: Snapshot,
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
    folder, made = load_index(snapshot.tables)
    index = build.load(manifest.read_index_bytes(folder, made))
    wanted = candidates or made.candidates or ann.CANDIDATES
    fetched = min(wanted * ann.RERANKED if made.rerank else wanted, max(made.vectors, 1))
    if filtered:
        ids, _ = ann.candidates(index, pooled, fetched, made.nprobe, allowed)
    else:
        ids = ann.present(index, pooled, fetched, made.nprobe, allowed)
    if made.rerank:
        ids = closest(snapshot, pooled, ids, wanted)
    if not fresh:
        return ids
    come = np.intersect1d(_come(snapshot, made), allowed)
    return np.hstack([ids, closest(snapshot, pooled, np.broadcast_to(come, (len(pooled), len(come))), wanted)])


def _come(snapshot: Snapshot, made: Manifest) -> np.ndarray:
    """The ids of what has come since the index was built."""
    found = difference.since(made.built_from, snapshot.pooled)
    if found is None:
        raise JobError(f"fresh=true: what has come since index {made.index_id} was built cannot be told any more; "
                       f"run `smart-jobs index lake={snapshot.tables.lake.uri}`")  # fmt: skip
    return found.added


def behind(snapshot: Snapshot, made: Manifest) -> str | None:
    """How far an index is behind the table, in words; None where the rows are the same."""
    found = difference.since(made.built_from, snapshot.pooled)
    versions = f"{snapshot.pooled.version() - made.built_from.version:,} versions behind"
    if found is None:
        return f"index {made.index_id} is {versions}, and its own version cannot be read any more: build it again"
    if found.nothing:
        return None
    return (f"index {made.index_id} is {versions}: {len(found.added):,} segments are not in it yet, "
            f"{len(found.removed):,} of its have left; fresh=true includes them")  # fmt: skip


def closest(snapshot: Snapshot, pooled: np.ndarray, rows: np.ndarray, k: int) -> np.ndarray:
    """The best `k` at most of each query's ids `rows` (q, n), -1 for none, by exact pooled score, best first."""
    found = np.unique(rows[rows >= 0])
    if not len(found):
        return rows[:, :k]
    scores = pooled @ pooled_vectors(snapshot, found).T
    scores[~candidate_mask(rows, found)] = -np.inf
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    best = found[order]
    best[np.isneginf(np.take_along_axis(scores, order, axis=1))] = -1
    return np.asarray(best)


def pooled_scores(snapshot: Snapshot, queries: Sequence[Embedding], ids: np.ndarray) -> np.ndarray:
    """Exact cosines (q, n) float32 of every query with the segments `ids` (n,), sorted."""
    scores: np.ndarray = np.stack([query.pooled for query in queries]) @ pooled_vectors(snapshot, ids).T
    return scores


def _stacked(queries: Sequence[Embedding]) -> Ragged:
    return maxsim.ragged([codec.unit(query.states) for query in queries])


def pooled_vectors(snapshot: Snapshot, ids: np.ndarray) -> np.ndarray:
    """(n, d) float32 of the segments `ids` (n,), sorted."""
    rows = table.read(snapshot.pooled, ["segment_id", "pooled"], pc.field("segment_id").isin(ids))
    rows = rows.sort_by("segment_id")
    return matrices.matrix(rows["pooled"], snapshot.tables.spec.dim)


def places(snapshot: Snapshot, ids: np.ndarray) -> np.ndarray:
    """(n,) int: equal for segments of the same page or clip, or of the same asset where there are neither."""
    rows = table.read(snapshot.pooled, PLACE, pc.field("segment_id").isin(ids)).sort_by("segment_id")
    part = pc.coalesce(rows["page"].cast(pa.string()), rows["start"].cast(pa.string()), "")
    keys = pc.binary_join_element_wise(rows["asset_id"], part, "#")
    return np.asarray(keys.combine_chunks().dictionary_encode().indices)


def _best(
    snapshot: Snapshot, queries: Sequence[Embedding], ids: np.ndarray, mask: np.ndarray, k: int, weights: Weights
) -> Hits:
    """The k best places of the segments `ids` (n,), sorted, that each query's `mask` (q, n) lets through."""
    pooled, where = pooled_scores(snapshot, queries, ids), places(snapshot, ids)
    known = np.where(mask, weights.pooled * pooled, np.float32(-np.inf))
    blocks = (
        nearest.Block(ids[which], where[which], known[:, which], documents)
        for which, documents in StatesReader(snapshot).packed(ids, HELD)
    )
    best = nearest.best(_stacked(queries), blocks, k, weights.late)
    hits = Hits(best.ids, best.scores, np.full_like(best.scores, -np.inf), best.late)
    row, column = np.nonzero(best.ids >= 0)
    hits.pooled[row, column] = pooled[row, np.searchsorted(ids, best.ids[row, column])]
    return hits


def _none(queries: int, k: int) -> Hits:
    empty = [np.full((queries, k), -np.inf, np.float32) for _ in range(3)]
    return Hits(np.full((queries, k), -1, np.int64), *empty)
