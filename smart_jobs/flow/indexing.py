"""pooled -> train, add, check -> index files and their manifest."""

import importlib.metadata
import secrets
import time
from datetime import UTC, datetime
from typing import Any

import faiss

from smart_jobs import progress, storage
from smart_jobs.flow import locate
from smart_jobs.index import build, check, manifest
from smart_jobs.index.build import Plan
from smart_jobs.index.manifest import INDEX_FILE, Manifest, Pin
from smart_jobs.lake import layout, table
from smart_jobs.lake.layout import EncoderTables, Snapshot
from smart_jobs.records import JobError
from smart_jobs.search import hybrid
from smart_jobs.settings import IndexJob


def run(job: IndexJob) -> dict[str, Any]:
    """Build an index over the newest pooled. The JSON object of `smart-jobs index`.

    The manifest is written last: a crash leaves files that no reader counts as an index. Raises JobError where the
    lake is empty.
    """
    tables, snapshot, plan = _prepare(job)
    dim, count = tables.spec.dim, snapshot.pooled.count()
    training = build.training_bytes(plan.factory, count, dim)
    progress.say(f"index: {plan.factory}, nprobe {plan.nprobe}. {plan.why}")
    progress.say(f"index: {4 * dim * count:,} bytes of vectors, {training:,} bytes for training")
    made = _build(job, tables, snapshot, plan)
    return {
        "index_id": made.index_id,
        "vectors": made.vectors,
        "factory": made.factory,
        "nprobe": made.nprobe,
        "why": made.why,
        "recall_at_10": made.recall_at_10,
        "bytes": made.bytes,
        "built_from": made.built_from.model_dump(),
        "seconds": made.train_seconds,
    }


def dry_run(job: IndexJob) -> dict[str, Any]:
    """What would be built, and the memory that it takes."""
    tables, snapshot, plan = _prepare(job)
    count, dim = snapshot.pooled.count(), tables.spec.dim
    memory = 4 * dim * count + build.training_bytes(plan.factory, count, dim)
    return {"dry_run": True, "vectors": count, "factory": plan.factory, "nprobe": plan.nprobe, "why": plan.why,
            "memory_bytes": memory}  # fmt: skip


def _prepare(job: IndexJob) -> tuple[EncoderTables, Snapshot, Plan]:
    tables = locate.tables_of(layout.open_lake(job.lake.uri), job.encoder, job)
    snapshot = layout.snapshot(tables)
    count = snapshot.pooled.count()
    if count == 0:
        raise JobError(f"lake {tables.lake.uri}: {tables.spec.full_name} has no vectors to index; ingest first")
    return tables, snapshot, build.plan(count, tables.spec.dim, job.index.factory, job.index.nprobe)


def _build(job: IndexJob, tables: EncoderTables, snapshot: Snapshot, plan: Plan) -> Manifest:
    rows = table.read(snapshot.pooled, ["segment_id", "pooled"]).sort_by("segment_id")
    ids, vectors = rows["segment_id"].to_numpy(), hybrid.matrix(rows["pooled"], tables.spec.dim)
    start = time.monotonic()
    try:
        index = build.build(ids, vectors, plan)
    except ValueError as error:
        raise JobError(f"index: {error}; run `smart-jobs verify`") from error
    seconds = time.monotonic() - start
    recall, queries = check.recall(index, ids, vectors, plan.nprobe, queries=job.index.check_queries)
    files = {INDEX_FILE: build.save(index)}
    now, pins = datetime.now(UTC), snapshot.versions()
    made = Manifest(
        index_id=f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}",
        encoder=tables.spec.full_name,
        spec=tables.spec.digest,
        factory=plan.factory,
        nprobe=plan.nprobe,
        vectors=len(ids),
        dim=tables.spec.dim,
        built_from=Pin.model_validate(pins["pooled"]),
        hidden_states=Pin.model_validate(pins["hidden_states"]),
        recall_at_10=round(recall, 4),
        recall_queries=queries,
        bytes=sum(len(data) for data in files.values()),
        files=manifest.entries(files),
        created_at=now,
        faiss_version=_faiss_version(),
        train_seconds=round(seconds, 3),
        why=plan.why,
    )
    manifest.write(storage.join(tables.uri, "indexes", made.index_id), made, files)
    return made


def _faiss_version() -> str:
    for name in ("faiss-gpu", "faiss-cpu"):
        try:
            return f"{name} {importlib.metadata.version(name)}"
        except importlib.metadata.PackageNotFoundError:
            continue
    return f"faiss {faiss.__version__}"
