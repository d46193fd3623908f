"""The newest index -> the same with what has come into pooled since, and without what has left."""

from datetime import UTC, datetime

import faiss
import numpy as np

from smart_jobs import progress
from smart_jobs.flow.index_work import Made, Work
from smart_jobs.index import build, manifest, rebuilding, refresh, training
from smart_jobs.index.difference import Difference
from smart_jobs.index.manifest import Manifest, Training
from smart_jobs.lake import matrices
from smart_jobs.records import JobError, dated_id


def changed(work: Work) -> Made | None:
    """The newest index with what has come and without what has left; None where one has to be built.

    Nothing is written. Raises JobError where `rebuild=never` forbids to build, or an added vector or id is bad.
    """
    if work.newest is None or work.job.index.rebuild == "always":
        return None
    difference = work.difference()
    why = work.must(difference)
    if difference is None or why is not None:
        if work.job.index.rebuild == "never":
            raise JobError(f"index.rebuild=never: index {work.newest[1].index_id} cannot be kept: {why}")
        progress.say(f"index: building again: {why}")
        return None
    return _carried_on(work, *work.newest, difference)


def _carried_on(work: Work, folder: str, old: Manifest, changed: Difference) -> Made | None:
    index = _loaded(work, folder, old)
    if index is None:
        return None
    if changed.nothing and not work.searched_anew() and work.pins()[0] == old.built_from:
        return Made(old, index, "unchanged")
    ids, vectors = _added(work, changed)
    since = rebuilding.since(_training(old), changed, training.misfit(index, vectors))
    pays = rebuilding.pays(old, work.plan, since)
    if pays is not None:
        never = work.job.index.rebuild == "never"
        progress.say(f"index: a rebuild would pay: {pays}" if never else f"index: building again: {pays}")
        if not never:
            return None
    try:
        refresh.change(index, changed.removed, ids, vectors)
    except ValueError as error:
        raise JobError(f"index: {error}; run `smart-jobs verify`") from error
    return _updated(work, old, index, since, changed)


def _loaded(work: Work, folder: str, old: Manifest) -> faiss.Index | None:
    """The index; None where its file is damaged, and another may be built."""
    try:
        return build.load(manifest.read_index_bytes(folder, old))
    except JobError as error:
        if work.job.index.rebuild == "never":
            raise
        progress.say(f"index: building again: {error}")
        return None


def _training(old: Manifest) -> Training:
    """Never null: `rebuilding.must` has seen to it."""
    if old.training is None:
        raise ValueError(f"index {old.index_id} does not say what it was trained on")
    return old.training


def _added(work: Work, changed: Difference) -> tuple[np.ndarray, np.ndarray]:
    dim = work.tables.spec.dim
    if not len(changed.added):
        return np.empty(0, np.int64), np.empty((0, dim), np.float32)
    ids, vectors = matrices.read(work.snapshot.pooled, changed.files, dim, changed.added)
    try:
        build.check_vectors(ids, vectors)
    except ValueError as error:
        raise JobError(f"index: {error}; run `smart-jobs verify`") from error
    return ids, vectors


def _updated(work: Work, old: Manifest, index: faiss.Index, since: Training, changed: Difference) -> Made:
    now = datetime.now(UTC)
    made, _ = refresh.again(old, index, work.pins(), since, dated_id(now))
    lists = index.nlist if isinstance(index, faiss.IndexIVF) else 1
    searched = {"nprobe": min(lists, work.job.index.nprobe or old.nprobe), "rerank": work.job.index.rerank}
    made = made.model_copy(update={"created_at": now, **searched})
    return Made(made, index, "updated", len(changed.added), len(changed.removed))
