"""A table of queries -> its answers in files, part by part: the batch search job."""

import io
import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pyarrow.parquet as pq

from smart_jobs import progress, storage
from smart_jobs.flow import batch_part, batch_plan, batch_queries, batch_workers, cluster, locate
from smart_jobs.flow.actors import Run
from smart_jobs.flow.batch_part import Order
from smart_jobs.flow.batch_plan import Plan
from smart_jobs.flow.batch_queries import Listed
from smart_jobs.index.manifest import Pin
from smart_jobs.lake import layout
from smart_jobs.lake.layout import EncoderTables
from smart_jobs.lake.lease import passed_over
from smart_jobs.lake.rows import Scanned
from smart_jobs.records import JobError, dated_id
from smart_jobs.search import ann, opened
from smart_jobs.search.opened import Opened
from smart_jobs.settings import Search
from smart_jobs.upkeep.versions import Versions


@dataclass(frozen=True, slots=True)
class Work:
    """What there is to do: the plan, the parts of it that are there, and the queries."""

    job: Search
    out: str
    tables: EncoderTables
    plan: Plan
    begun: bool
    done: frozenset[int]
    listed: Listed

    def lake(self) -> Opened:
        """The lake as it is pinned. Raises JobError where that cannot be read any more."""
        versions = Versions([self.tables.lake])
        for name, pin in self.plan.versions.items():
            problem = versions.problem(pin.table_id, pin.version)
            if problem:
                raise JobError(f"out={self.out}: version {pin.version} of {name}, which its parts were made from, is "
                               f"gone ({problem}); give another out= to begin with what the lake has now")  # fmt: skip
        snapshot = layout.reopened(self.tables, self.plan.pins())
        return Opened(snapshot, Scanned(snapshot), self.plan.index_id)


def run(job: Search, reached: Callable[[str], None] = passed_over) -> dict[str, Any]:
    """Answer every query of a table. The JSON object of `smart-jobs search queries=… out=…`.

    Killed at any moment, the next run with the same keys does the parts that are missing, from the versions that the
    first one pinned, and the files are those of a run that was never killed. `reached` is told when a part is done:
    fault tests end the process there. Raises UsageError where `out` holds anything else.
    """
    start = time.monotonic()
    work = _prepare(job)
    seconds = {"plan": time.monotonic() - start}
    if len(work.done) < work.plan.parts:
        _announce(work)
        with cluster.connected(job.cluster):
            cluster.check_lake(work.tables.lake.uri, work.tables.lake.id)
            work = _pinned(work)
            _answer(work, seconds, reached)
    storage.delete_folder(storage.join(work.out, batch_plan.IN_FLIGHT))  # also one that a killed run left
    seconds["total"] = time.monotonic() - start
    return _summary(work, seconds)


def dry_run(job: Search) -> dict[str, Any]:
    """What would be done, and what a worker would hold."""
    work = _prepare(job)
    lake = work.lake()
    allowed, plan = len(lake.allowed(job.where)), work.plan
    made = None if plan.exhaustive else lake.made[1]
    scored = allowed if made is None else min(plan.candidates or made.candidates or ann.CANDIDATES, allowed)
    return {"dry_run": True, "encoder": plan.encoder, "queries": plan.queries, "parts": plan.parts,
            "there": len(work.done), "segments": allowed, "index": plan.index_id, "exactly_scored": scored,
            "out": work.out, "worker_bytes": _held(lake)}  # fmt: skip


def _prepare(job: Search) -> Work:
    lake, out = layout.open_lake(job.lake.uri), storage.absolute(str(job.out))
    tables = locate.tables_of(lake, job.encoder, job)
    batch_queries.check(job, tables.spec)
    listed = batch_queries.listed(job)
    there = batch_plan.read(out)
    if there is not None and (there.lake_id, there.encoder) == (lake.id, tables.spec.full_name):
        pins = {name: getattr(there, name) for name in batch_plan.PINS}
    else:
        pins = _newest(job, tables)
    plan = Plan(
        lake_id=lake.id,
        encoder=tables.spec.full_name,
        exhaustive=job.exhaustive,
        candidates=job.candidates,
        k=job.k,
        lambda_pooled=job.lambda_pooled,
        lambda_late=job.lambda_late,
        where=job.where,
        fresh=job.fresh,
        queries=listed.count,
        digest=listed.digest,
        part_queries=job.part_queries,
        **pins,
    )
    batch_plan.refuse(out, there, plan)
    return Work(job, out, tables, plan, there is not None, frozenset(batch_plan.done(out, plan)), listed)


def _newest(job: Search, tables: EncoderTables) -> dict[str, Any]:
    """Pins of what the lake has now. Raises JobError where it is empty, the predicate wrong, or no index built."""
    lake = opened.newest(tables)
    lake.allowed(job.where)
    versions = {name: Pin.model_validate(pin) for name, pin in lake.snapshot.versions().items()}
    if job.exhaustive:
        return {"versions": versions, "index_id": None}
    late = lake.behind()
    if late is not None:
        progress.say(f"search: {late}")
    return {"versions": versions, "index_id": lake.made[1].index_id}


def _pinned(work: Work) -> Work:
    """The work with the plan that holds, which is written where none was. Needs a connected Ray."""
    threads = work.plan.threads or cluster.pools(work.job.cluster).encode_threads
    plan = batch_plan.pin(work.out, work.plan.model_copy(update={"threads": threads}))
    return replace(work, plan=plan, done=frozenset(batch_plan.done(work.out, plan)))


def _held(lake: Opened) -> dict[str, int]:
    """Bytes that each worker holds of a lake, beside its model and what a part takes."""
    count, spec = lake.snapshot.pooled.count(), lake.snapshot.tables.spec
    return {"index": lake.made[1].bytes if lake.index_id else 0, "vectors_on_disk": 4 * spec.dim * count}


def _announce(work: Work) -> None:
    plan, held = work.plan, _held(work.lake())
    there = f", {len(work.done):,} of them there already" if work.begun else ""
    progress.say(
        f"search: {plan.queries:,} queries in {plan.parts:,} parts{there}; each worker holds an index of "
        f"{held['index']:,} bytes, and {held['vectors_on_disk']:,} bytes of vectors on its disk"
    )


def _answer(work: Work, seconds: dict[str, float], reached: Callable[[str], None]) -> None:
    start, job = time.monotonic(), work.job
    missing = [number for number in range(work.plan.parts) if number not in work.done]
    parts = (part for part in batch_queries.same(job, work.listed) if part.number not in work.done)
    left = sum(work.plan.size(number) for number in missing)
    with progress.Progress("search", left, "queries") as shown:
        failures = 0
        for done in batch_workers.spread(parts, _order(work), job.cluster, len(missing)):
            failures += done.failures
            shown.add(done.queries, f"{failures:,} failures")
            for step, spent in done.seconds.items():
                seconds[step] = seconds.get(step, 0.0) + spent
            reached("part")
    seconds["stream"] = time.monotonic() - start


def _order(work: Work) -> Order:
    lake = work.tables.lake
    run = Run(dated_id(), lake.uri, lake.id, work.tables.spec, work.job.encoder, batch_part.UNIT_TOKENS,
              batch_part.BATCH_TOKENS, work.plan.threads or 1, work.job.decode)  # fmt: skip
    return Order(run, work.out, work.plan, work.job.held)


def _summary(work: Work, seconds: dict[str, float]) -> dict[str, Any]:
    reasons, measured = _reasons(work.out), storage.join(work.out, batch_plan.RECALL)
    return {
        "encoder": work.plan.encoder,
        "index": work.plan.index_id,
        "queries": work.plan.queries,
        "parts": work.plan.parts,
        "kept": len(work.done),
        "failures": sum(reasons.values()),
        "failed_by_reason": dict(sorted(reasons.items())),
        "recall": json.loads(storage.read_bytes(measured)) if storage.exists(measured) else None,
        "out": work.out,
        "seconds": {step: round(spent, 3) for step, spent in seconds.items()},
    }


def _reasons(out: str) -> Counter[str]:
    """How many queries failed for which reason, over all parts."""
    found: Counter[str] = Counter()
    for uri, _ in storage.list_files(out, recursive=False):
        if uri.rpartition("/")[2].startswith("failures-"):
            found.update(pq.read_table(io.BytesIO(storage.read_bytes(uri)), columns=["reason"])["reason"].to_pylist())
    return found
