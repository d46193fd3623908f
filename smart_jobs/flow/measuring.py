"""An index -> its recall, by stored vectors and by the queries of evaluations, with and without a filter."""

from collections.abc import Sequence
from dataclasses import dataclass

import faiss
import numpy as np
from deltalake import DeltaTable

from smart_jobs.flow import query_rows
from smart_jobs.index import build, check, training, tuning
from smart_jobs.index.steps import GROUP_BYTES
from smart_jobs.lake import matrices
from smart_jobs.lake.layout import Snapshot
from smart_jobs.search import ann

SELECTED = (0.5, 0.05)
"""The shares of all ids that filters let through in the measurement."""

K = 10


@dataclass(frozen=True, slots=True)
class Asked:
    """Queries (q, d) of one kind, each with the id that it is stored under, -1 where it is not."""

    kind: str
    vectors: np.ndarray
    own: np.ndarray


@dataclass(frozen=True, slots=True)
class Measured:
    """Recall@10 of the first answers, null for a single vector, and of what stage one passes on, by kind of query."""

    first: float | None
    stage_one: dict[str, float]
    queries: int
    misfit: float | None


@dataclass(frozen=True, slots=True)
class Subject:
    """An index over the vectors of a snapshot, how it is searched, and the queries to ask it."""

    index: faiss.Index
    snapshot: Snapshot
    ids: np.ndarray
    asked: Sequence[Asked]
    rerank: bool

    def batches(self) -> check.Batches:
        """All vectors of the snapshot, a group of files at a time."""
        handle, dim = self.snapshot.pooled, self.snapshot.tables.spec.dim
        return lambda: (matrices.read(handle, group, dim) for group in matrices.groups(handle, dim, GROUP_BYTES))

    def answers(self, asked: Asked, wanted: int, nprobe: int, allowed: np.ndarray | None = None) -> np.ndarray:
        """The ids (q, m) of which stage one passes `wanted` on: so many, or those that it puts in their exact order."""
        wanted = wanted * ann.RERANKED if self.rerank else wanted
        found, _ = ann.candidates(self.index, asked.vectors, min(wanted + 1, len(self.ids)), nprobe, allowed)
        return check.others(found, asked.own, wanted)

    def recall(self, asked: Asked, wanted: int, nprobe: int, allowed: np.ndarray | None = None) -> tuple[float, float]:
        """The share of the exact ten nearest among the first ten answers, and among `wanted` candidates."""
        found = self.answers(asked, wanted, nprobe, allowed)
        depths = [K * ann.RERANKED if self.rerank else K, found.shape[1]]
        first, all_of_them = check.recalls(asked.vectors, asked.own, [found], depths, self.batches(), K, allowed)[0]
        return round(float(first), 4), round(float(all_of_them), 4)


def subject(index: faiss.Index, snapshot: Snapshot, rerank: bool, count: int) -> Subject:
    """What there is to measure: `count` stored vectors, a seeded sample, and the queries of evaluations."""
    handle, spec = snapshot.pooled, snapshot.tables.spec
    files = [group for part in matrices.groups(handle, spec.dim, GROUP_BYTES) for group in part]
    ids = matrices.ids(handle, files)
    own, vectors = _read(handle, spec.dim, training.choose(ids, count))
    asked = [Asked("stored", vectors, own)] if len(ids) > 1 else []
    real = query_rows.stored(snapshot.tables.lake, spec)
    if len(real):
        asked.append(Asked("evaluation", real, np.full(len(real), -1, np.int64)))
    return Subject(index, snapshot, ids, asked, rerank)


def _read(handle: DeltaTable, dim: int, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    parts = [matrices.read(handle, group, dim, chosen) for group in matrices.groups(handle, dim, GROUP_BYTES)]
    return np.concatenate([ids for ids, _ in parts]), np.concatenate([vectors for _, vectors in parts])


def measure(of: Subject, nprobe: int, candidates: int) -> Measured:
    """Recall of visiting `nprobe` lists and passing on `candidates`."""
    if not of.asked:
        return Measured(None, {}, 0, None)
    found = {asked.kind: of.recall(asked, candidates, nprobe) for asked in of.asked}
    stored = of.asked[0]
    for share in SELECTED:
        allowed = training.choose(of.ids, max(1, round(share * len(of.ids))))
        found[f"{stored.kind}, {share:.0%} pass a filter"] = of.recall(stored, candidates, nprobe, allowed)
    stage_one = {kind: passed_on for kind, (_, passed_on) in found.items()}
    return Measured(found[stored.kind][0], stage_one, len(stored.own), training.misfit(of.index, stored.vectors))


def tune(of: Subject, target: float) -> tuple[tuple[int, int] | None, float]:
    """Lists and candidates with which every kind of query reaches `target`, if any do; and the best recall there is."""
    nprobes = tuning.ladder(of.index.nlist if isinstance(of.index, faiss.IndexIVF) else 1)
    depths = [depth * ann.RERANKED if of.rerank else depth for depth in tuning.DEPTHS]
    least = np.ones((len(nprobes), len(depths)))
    for asked in of.asked:
        found = [_visited(of.index, asked, depths[-1], nprobe) for nprobe in nprobes]
        measured = check.recalls(asked.vectors, asked.own, found, depths, of.batches(), K)
        least = np.minimum(least, measured)
    return tuning.choose(least, nprobes, target), float(least.max())


def _visited(index: faiss.Index, asked: Asked, wanted: int, nprobe: int) -> np.ndarray:
    """What the first `nprobe` lists hold alone: a search that is left short asks all lists, and must not be counted."""
    fetched = min(wanted + 1, index.ntotal)
    found = index.search(asked.vectors, fetched, params=build.search_parameters(index, nprobe))[1]
    return check.others(found, asked.own, wanted)
