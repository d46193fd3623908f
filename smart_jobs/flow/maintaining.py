"""Compaction, sweep, vacuum, checkpoints: a lake keeps its rows and loses what nothing refers to. Starts no Ray."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import numpy as np

from smart_jobs import progress, schema, storage
from smart_jobs.flow import dropping, locate, pinning
from smart_jobs.lake import catalog, groups, layout, lease, pending, table
from smart_jobs.lake.layout import EncoderTables, Lake
from smart_jobs.lake.lease import Lease, passed_over
from smart_jobs.lake.waiting import Waiting
from smart_jobs.settings import Maintain
from smart_jobs.upkeep import compact, datafiles, forgotten, logs, recoding, vacuum
from smart_jobs.upkeep import dropping as retired
from smart_jobs.upkeep import verify_indexes as indexes
from smart_jobs.upkeep.transcode import transcode
from smart_jobs.upkeep.vacuum import Going

GRACE = timedelta(hours=1)
"""How old a file of a shared table or an index must be that nothing names: its writer may be about to."""


@dataclass(slots=True)
class Done:
    """What went, in all lakes."""

    swept: int = 0
    files: int = 0
    bytes: int = 0
    commits: int = 0

    def delete(self, going: Going) -> None:
        """Delete these files, and count them."""
        vacuum.delete(going)
        self.count(going)

    def count(self, going: Going) -> None:
        """These went."""
        self.files += len(going)
        self.bytes += sum(going.values())


def run(job: Maintain, reached: Callable[[str], None] = passed_over) -> dict[str, Any]:
    """The JSON object of `smart-jobs maintain`.

    A reader that has opened the lake goes on for `retention_hours`; a run that is killed anywhere is finished by the
    next. Raises JobError where another run writes with an encoder, or the lake has none of that name.
    """
    lakes = locate.lakes_of(job.lake.uri)
    before, done = _report(lakes), Done()
    if job.drop is not None:
        done.count(dropping.drop(lakes, job.drop, job, reached))
    else:
        _maintain(lakes, job, done, reached)
    after = _report(lakes)
    names = dict.fromkeys([*before, *after])
    return {
        "lake": lakes[0].uri,
        "tables": {name: {"before": before.get(name), "after": after.get(name)} for name in names},
        "swept": done.swept,
        "deleted": {"files": done.files, "bytes": done.bytes},
        "commits_trimmed": done.commits,
    }


def _maintain(lakes: Sequence[Lake], job: Maintain, done: Done, reached: Callable[[str], None]) -> None:
    for lake in lakes:
        for name in retired.left(lake):
            done.count(retired.finish(lake, name))
        for tables in _encoders(lake, job):
            progress.say(f"maintain: {tables.uri}")
            with lease.hold(tables, "maintain", job.wait, reached) as held:
                _encoder(lakes, tables, held, job, done)
        _shared(lakes[0], lake, job, done)
    if job.encoder is None:
        _settle_marks(lakes)


def dry_run(job: Maintain) -> dict[str, Any]:
    """What a run would do now, read without a lease; what it replaces goes `retention_hours` later."""
    lakes = locate.lakes_of(job.lake.uri)
    since, target = _since(job), _target(job)
    rewritten = swept = 0
    going: Going = {}
    if job.drop is not None:
        for tables in dropping.tables_of(lakes, job.drop):
            going |= retired.files(tables)
    for lake in lakes if job.drop is None else ():
        for tables in _encoders(lake, job):
            plan = compact.plan_states(tables, _waiting(groups.unfinished(tables)), target)
            swept += plan.swept
            small = compact.plan_rows(table.open_table(tables.table_uri(schema.POOLED)), target)
            rewritten += sum(map(len, [*plan.groups, *small]))
            going |= vacuum.of_encoder(tables, since, pinning.pins(lakes)) | _leftovers(tables)
        for kind in schema.LAKE_TABLES:
            uri = lake.table_uri(kind)
            rewritten += sum(map(len, compact.plan_rows(table.open_table(uri), target)))
            going |= vacuum.of_shared(uri, since, _before(lake), _named(lake))
    return {"dry_run": True, "files_to_rewrite": rewritten, "states_to_sweep": swept,
            "files_to_delete": len(going), "bytes_to_delete": sum(going.values())}  # fmt: skip


def _since(job: Maintain) -> datetime:
    return datetime.now(UTC) - timedelta(hours=job.retention_hours)


def _target(job: Maintain) -> int:
    return int(job.target_mb * 1e6)


def _encoders(lake: Lake, job: Maintain) -> Iterator[EncoderTables]:
    """Those of a lake, or the one that the job names; a lake of evaluations may lack it."""
    names = layout.encoders(lake)
    if job.encoder is not None:
        wanted = catalog.pick(layout.open_lake(job.lake.uri), job.encoder).spec.full_name
        names = [name for name in names if name == wanted]
    for name in names:
        yield layout.open_encoder(lake, name)


def _encoder(lakes: Sequence[Lake], tables: EncoderTables, held: Lease, job: Maintain, done: Done) -> None:
    waiting = groups.roll_forward(tables, held)
    lease.clear(tables, held)
    commits = groups.Groups(tables, held, waiting)
    if job.codec is not None and tables.lake.uri == lakes[0].uri:  # what evaluations stored stays as it was measured
        recoding.recode(tables, commits, job.codec, partial(transcode, to=job.codec))
        held.reached("transcoded")
    plan = compact.plan_states(tables, _waiting(waiting), _target(job))
    compact.states(tables, commits, plan)
    compact.pooled(tables, commits, _target(job))
    held.reached("compacted")
    done.swept += plan.swept
    since, pins = _since(job), pinning.pins(lakes)
    going = vacuum.of_encoder(tables, since, pins) | _leftovers(tables)
    done.delete(going | _forgotten(lakes[0], tables, pins))
    done.delete(vacuum.of_encoder(tables, since, pins))  # the offsets of what was forgotten
    held.reached("vacuumed")
    for kind in schema.ENCODER_TABLES:
        uri = tables.table_uri(kind)
        logs.checkpoint(uri)
        held.reached(f"{kind.name} checkpointed")
        done.commits += logs.trim(uri, since, pins.get(table.table_id(table.open_table(uri)), set()))


def _waiting(held_back: Waiting) -> np.ndarray:
    ids: np.ndarray = held_back.rows["segment_id"].to_numpy()
    return ids


def _forgotten(outer: Lake, tables: EncoderTables, pins: dict[str, set[int]]) -> Going:
    """Files that hold what is to be forgotten, whatever retention and pins say."""
    assets = forgotten.marked(outer)
    if not assets:
        return {}
    uri = tables.table_uri(schema.HIDDEN_STATES)
    versions = pins.get(table.table_id(table.open_table(uri)), set())
    return forgotten.of_encoder(tables, assets, vacuum.needed(uri, datetime.now(UTC), versions))


def _leftovers(tables: EncoderTables) -> Going:
    """Marks of units in flight, whose runs are over, and index folders that were never finished."""
    marks = storage.list_files(storage.join(tables.uri, "_inflight"))
    going = {uri: info.size for uri, info in marks}
    root = storage.join(tables.uri, "indexes")
    finished = set(indexes.folders(root))
    unfinished = [(uri, info) for uri, info in storage.list_files(root) if uri.rpartition("/")[0] not in finished]
    late = datetime.now(UTC) - GRACE
    alive = {uri.rpartition("/")[0] for uri, info in unfinished if info.mtime >= late}  # a build that goes on
    return going | {uri: info.size for uri, info in unfinished if uri.rpartition("/")[0] not in alive}


def _shared(outer: Lake, lake: Lake, job: Maintain, done: Done) -> None:
    """The tables that all encoders share have other writers: their runs, and evaluations, which hold no lease.

    Nothing that they have replaced stays while an asset is to be forgotten: rows of it may be in there.
    """
    before, since = _before(lake), datetime.now(UTC) if forgotten.marked(outer) else _since(job)
    for kind in schema.LAKE_TABLES:
        uri = lake.table_uri(kind)
        compact.shared(lake, kind, _target(job))
        done.delete(vacuum.of_shared(uri, since, before, _named(lake)))
        logs.checkpoint(uri)
        done.commits += logs.trim(uri, since, ())


def _settle_marks(lakes: Sequence[Lake]) -> None:
    """Remove the marks of what no file holds any more; another run may be writing such files now."""
    for asset in forgotten.marked(lakes[0]):
        if not any(forgotten.remain(lake, [asset]) for lake in lakes):
            forgotten.unmark(lakes[0], asset)


def _before(lake: Lake) -> datetime:
    """Files that nothing names may belong to a run that is alive, whichever encoder it runs, unless they are older."""
    alive = (lease.held_since(layout.open_encoder(lake, name)) for name in layout.encoders(lake))
    return min([datetime.now(UTC) - GRACE, *(at for at in alive if at is not None)])


def _named(lake: Lake) -> set[str]:
    """The files that the pending commits of all encoders add."""
    listed = (item for name in layout.encoders(lake) for item in pending.listed(layout.open_encoder(lake, name)))
    return {file.path for item in listed for files in item.adds.values() for file in files}


def _report(lakes: Sequence[Lake]) -> dict[str, dict[str, int]]:
    """Per table: files, bytes and rows of its newest version, and all the bytes that lie in its folder."""
    found: dict[str, dict[str, int]] = {}
    for lake in lakes:
        own = [layout.open_encoder(lake, name) for name in layout.encoders(lake)]
        uris = [tables.table_uri(kind) for tables in own for kind in schema.ENCODER_TABLES]
        for uri in [*uris, *(lake.table_uri(kind) for kind in schema.LAKE_TABLES)]:
            entries = datafiles.named(table.open_table(uri)).values()
            found[uri.removeprefix(lakes[0].uri + "/")] = {
                "files": len(entries),
                "bytes": sum(entry.size for entry in entries),
                "rows": sum(entry.rows or 0 for entry in entries),
                "stored": sum(info.size for info in datafiles.lying(uri).values()),
            }
    return found
