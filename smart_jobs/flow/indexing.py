"""pooled -> an index built in steps, or the newest one brought up to date -> its files and manifest."""

import importlib.metadata
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import faiss

from smart_jobs import progress, storage
from smart_jobs.flow import index_parts, locate, measuring, updating
from smart_jobs.flow.index_work import Made, Work
from smart_jobs.flow.measuring import Measured, Subject
from smart_jobs.index import build, manifest, steps
from smart_jobs.index.manifest import INDEX_FILE, Manifest, Training
from smart_jobs.lake import layout
from smart_jobs.lake.lease import passed_over
from smart_jobs.records import JobError, dated_id
from smart_jobs.search import ann
from smart_jobs.settings import IndexJob


def run(job: IndexJob, reached: Callable[[str], None] = passed_over) -> dict[str, Any]:
    """Build the index, or change the newest one to what pooled holds now. The JSON object of `smart-jobs index`.

    The manifest is written last: a crash leaves files that no reader counts as an index, and with which the next run
    goes on. `reached` is told when a step is done: fault tests end the process there. Raises JobError where the lake is
    empty, the recall is below the floor, or `rebuild=never` forbids what is needed.
    """
    work = _prepare(job)
    made = updating.changed(work) or _built(work, reached)
    target = job.tune.recall or _tuned_before(work, made)
    if target is not None:
        made = _tuned(work, made, target)
    elif work.searched_anew() and made.action == "updated":
        made = _measured(work, made, made.manifest.nprobe, made.manifest.candidates)
    if made.action != "unchanged":
        made = _publish(work, made, reached)
    return _result(made)


def dry_run(job: IndexJob) -> dict[str, Any]:
    """What would be built or changed, and the memory that it takes."""
    work = _prepare(job)
    changed = work.difference()
    alone = {"added": len(changed.added), "removed": len(changed.removed)} if changed is not None else {}
    reason = "rebuild=always" if job.index.rebuild == "always" else work.must(changed)
    memory = sum(_memory(work))
    return {"dry_run": True, "vectors": work.snapshot.pooled.count(), "factory": work.plan.factory,
            "nprobe": work.plan.nprobe, "why": work.plan.why, "memory_bytes": memory,
            "rebuild": reason or (None if work.newest else "there is no index"), **alone}  # fmt: skip


def _prepare(job: IndexJob) -> Work:
    tables = locate.tables_of(layout.open_lake(job.lake.uri), job.encoder, job)
    snapshot = layout.snapshot(tables)
    count = snapshot.pooled.count()
    if count == 0:
        raise JobError(f"lake {tables.lake.uri}: {tables.spec.full_name} has no vectors to index; ingest first")
    plan = build.plan(count, tables.spec.dim, job.index.factory, job.index.nprobe)
    return Work(job, snapshot, plan, manifest.newest(storage.join(tables.uri, "indexes")))


def _memory(work: Work) -> tuple[int, int]:
    """Bytes of the vectors that are held at a time, and of the training beside them."""
    dim, count = work.tables.spec.dim, work.snapshot.pooled.count()
    return min(4 * dim * count, steps.GROUP_BYTES), build.training_bytes(work.plan.factory, count, dim)


def _built(work: Work, reached: Callable[[str], None]) -> Made:
    plan, start = work.plan, time.monotonic()
    vectors, trained = _memory(work)
    progress.say(f"index: {plan.factory}, nprobe {plan.nprobe}. {plan.why}")
    progress.say(f"index: {vectors:,} bytes of vectors at a time, {trained:,} bytes for training")
    try:
        index = steps.run(work.task(), reached, index_parts.on(work.job.cluster, work.tables.lake))
    except ValueError as error:
        raise JobError(f"index: {error}; run `smart-jobs verify`") from error
    if isinstance(index, faiss.IndexIVF):
        index.nprobe = plan.nprobe
    seconds = time.monotonic() - start
    measured = measuring.measure(_subject(work, index), plan.nprobe, ann.CANDIDATES)
    return Made(_manifest(work, index, measured, seconds), index, "built")


def _manifest(work: Work, index: faiss.Index, measured: Measured, seconds: float) -> Manifest:
    now, pins, spec = datetime.now(UTC), work.pins(), work.tables.spec
    rows = build.training_rows(work.plan.factory, index.ntotal, spec.dim)
    return Manifest(
        index_id=dated_id(now),
        encoder=spec.full_name,
        spec=spec.digest,
        factory=work.plan.factory,
        nprobe=work.plan.nprobe,
        vectors=index.ntotal,
        dim=spec.dim,
        built_from=pins[0],
        hidden_states=pins[1],
        recall_at_10=1.0 if measured.first is None else measured.first,
        recall_queries=measured.queries,
        bytes=0,
        files={},
        created_at=now,
        faiss_version=_faiss_version(),
        train_seconds=round(seconds, 3),
        why=work.plan.why,
        training=Training(at=now, version=pins[0].version, vectors=index.ntotal, rows=rows, misfit=measured.misfit),
        rerank=work.job.index.rerank,
        stage_one=measured.stage_one,
    )


def _tuned_before(work: Work, made: Made) -> float | None:
    """What the index was tuned for before it was built anew, unless the user says how many lists are visited."""
    again = made.action == "built" and work.newest is not None and work.job.index.nprobe is None
    return work.newest[1].tuned if again and work.newest else None


def _tuned(work: Work, made: Made, target: float) -> Made:
    """The index with the lists and candidates that measured recall asks for."""
    chosen, best = measuring.tune(_subject(work, made.index), target)
    if chosen is None:
        raise JobError(f"tune.recall={target}: {made.manifest.factory} reaches {best:.4f} at most; a finer "
                       "index.factory or index.rerank=true reaches more")  # fmt: skip
    done = _measured(work, made, *chosen)
    return replace(done, manifest=done.manifest.model_copy(update={"tuned": target}))


def _measured(work: Work, made: Made, nprobe: int, candidates: int | None) -> Made:
    """The index with these lists and candidates, and the recall that it has with them."""
    subject = _subject(work, made.index)
    measured, now = measuring.measure(subject, nprobe, candidates or ann.CANDIDATES), datetime.now(UTC)
    if isinstance(made.index, faiss.IndexIVF):
        made.index.nprobe = nprobe
    update = {"nprobe": nprobe, "candidates": candidates, "stage_one": measured.stage_one, "created_at": now,
              "recall_at_10": measured.first, "index_id": dated_id(now), "judged": {}}  # fmt: skip
    action = "tuned" if made.action == "unchanged" else made.action
    return Made(made.manifest.model_copy(update=update), made.index, action, made.added, made.removed)


def _subject(work: Work, index: faiss.Index) -> Subject:
    return measuring.subject(index, work.snapshot, work.job.index.rerank, work.job.index.check_queries)


def _publish(work: Work, made: Made, reached: Callable[[str], None]) -> Made:
    """Write the index, its manifest last. Raises JobError where its recall is below the floor: nothing is written."""
    found = [value for kind, value in made.manifest.stage_one.items() if "filter" not in kind]
    if found and min(found) < work.job.recall_floor:
        raise JobError(f"recall_floor={work.job.recall_floor}: stage one of {made.manifest.factory} passes on "
                       f"{min(found):.4f} of the exact ten nearest; the index is not published")  # fmt: skip
    files = {INDEX_FILE: build.save(made.index)}
    size = sum(len(data) for data in files.values())
    done = made.manifest.model_copy(update={"files": manifest.entries(files), "bytes": size})
    manifest.write(storage.join(work.indexes, done.index_id), done, files)
    reached("published")
    steps.clear(work.task())
    return replace(made, manifest=done)


def _result(made: Made) -> dict[str, Any]:
    done = made.manifest
    return {
        "index_id": done.index_id,
        "action": made.action,
        "added": made.added,
        "removed": made.removed,
        "vectors": done.vectors,
        "factory": done.factory,
        "nprobe": done.nprobe,
        "candidates": done.candidates or ann.CANDIDATES,
        "why": done.why,
        "recall_at_10": done.recall_at_10,
        "stage_one": dict(done.stage_one),
        "bytes": done.bytes,
        "built_from": done.built_from.model_dump(),
        "seconds": done.train_seconds,
    }


def _faiss_version() -> str:
    for name in ("faiss-gpu", "faiss-cpu"):
        try:
            return f"{name} {importlib.metadata.version(name)}"
        except importlib.metadata.PackageNotFoundError:
            continue
    return f"faiss {faiss.__version__}"
