"""One writer per encoder and lake: a claim in `runs`, a heartbeat beside it, and an epoch that fences out the deposed.

A claim is a row in `runs` committed with `Transaction("lease/<spec>", epoch)` from the snapshot in which no other claim
was alive, so that one of two claimants fails at once. A claim is dead when its process is gone on this host, else when
its heartbeat has stood still for `DEAD_AFTER` seconds of watching.
"""

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

from smart_jobs import schema, storage
from smart_jobs.lake import layout, libraries, table
from smart_jobs.lake.layout import EncoderTables
from smart_jobs.lake.table import Change
from smart_jobs.records import JobError, dated_id

HEARTBEAT_SECONDS = 5.0
DEAD_AFTER = 15.0
POLL_SECONDS = 0.5


class DeposedError(JobError):
    """Another run has taken the lease; nothing more may be committed by this one."""


def passed_over(step: str) -> None:
    """What a run does when a step of the commit protocol is reached: nothing."""


@dataclass(slots=True)
class Lease:
    """The right to commit for one spec. `summary` is what the run's last row says.

    `reached` is called with the name of every step of the commit protocol when it is done: fault tests end the process
    there.
    """

    run_id: str
    epoch: int
    summary: str = ""
    reached: Callable[[str], None] = passed_over

    def version(self, n: int) -> int:
        """The transaction version of this run's n-th commit: later epochs are above all of an earlier one's."""
        return (self.epoch << 32) | n


@contextlib.contextmanager
def hold(tables: EncoderTables, job: str, wait: float, reached: Callable[[str], None] = passed_over) -> Iterator[Lease]:
    """Hold the lease while the block runs; `runs` says how it ended.

    Raises JobError naming the other run where one is alive and stays so for `wait` seconds. A run that is killed keeps
    its claim, which delays the next one by at most `DEAD_AFTER` seconds.
    """
    lease = _claim(tables, job, time.monotonic() + wait)
    lease.reached = reached
    heartbeat = _heartbeat(tables, lease.run_id)
    stop = threading.Event()
    beat = threading.Thread(target=_beat, args=(heartbeat, stop), daemon=True)
    beat.start()
    phase = "failed"
    lease.reached("claimed")
    try:
        yield lease
        phase = "end"
    finally:
        stop.set()
        beat.join()
        layout.append(tables.lake, schema.RUNS, [_row(tables, lease, job, phase)], f"run/{lease.run_id}")
        with contextlib.suppress(OSError):  # the run is over, and said so; `maintain` clears what is left of it
            storage.delete(heartbeat)


def _heartbeat(tables: EncoderTables, run_id: str) -> str:
    """A file for each run: one that was deposed and still beats keeps nobody else's claim alive."""
    return storage.join(tables.uri, "_lease", f"{run_id}.json")


def _beat(uri: str, stop: threading.Event) -> None:
    count = 0
    while True:
        with contextlib.suppress(OSError):  # a passing fault may cost a beat, not all that follow
            storage.write_bytes(uri, json.dumps({"beat": count}).encode())
        count += 1
        if stop.wait(HEARTBEAT_SECONDS):
            return


def _claim(tables: EncoderTables, job: str, deadline: float) -> Lease:
    app = f"lease/{tables.spec.digest}"
    run_id = dated_id()
    while True:
        runs = table.open_table(tables.table_uri(schema.RUNS))
        holder = _holder(runs, tables.spec.digest)
        if holder is not None and _alive(tables, holder):
            if time.monotonic() >= deadline:
                who = (
                    f"run {holder['run_id']} on {holder['host']} (pid {holder['pid']}, since {holder['at']:%F %T} UTC)"
                )
                raise JobError(f"{who} is writing {tables.spec.full_name} in {tables.lake.uri}; wait=SECONDS queues")
            time.sleep(POLL_SECONDS)
            continue
        lease = Lease(run_id, (runs.transaction_version(app) or 0) + 1)
        with contextlib.suppress(CommitFailedError):
            file = _file(tables, _row(tables, lease, job, "start"))
            table.commit(runs, Change([file], [], {app: lease.epoch}, {}))
            if holder is not None:
                storage.delete(_heartbeat(tables, holder["run_id"]))
            return lease


def held_since(tables: EncoderTables) -> datetime | None:
    """When the run that writes with this encoder claimed the lease; None where none does that is alive."""
    holder = _holder(table.open_table(tables.table_uri(schema.RUNS)), tables.spec.digest)
    return holder["at"] if holder is not None and _alive(tables, holder) else None


def clear(tables: EncoderTables, lease: Lease) -> None:
    """Delete the heartbeats of runs that were killed; called by the one that holds the lease."""
    mine = _heartbeat(tables, lease.run_id)
    for uri, _ in storage.list_files(mine.rpartition("/")[0]):
        if uri != mine:
            storage.delete(uri)


def _holder(runs: DeltaTable, spec: str) -> Mapping[str, Any] | None:
    """The newest claim on `spec` that has not ended."""
    rows = table.read(runs, ["run_id", "phase", "epoch", "host", "pid", "at"], pc.field("spec") == spec).to_pylist()
    ended = {row["run_id"] for row in rows if row["phase"] != "start"}
    newest = max((row for row in rows if row["phase"] == "start"), key=lambda row: row["epoch"], default=None)
    return None if newest is None or newest["run_id"] in ended else newest


def _alive(tables: EncoderTables, holder: Mapping[str, Any]) -> bool:
    if holder["host"] == socket.gethostname() and not _running(holder["pid"]):
        return False
    heartbeat = _heartbeat(tables, holder["run_id"])
    first = _beats(heartbeat)
    end = time.monotonic() + DEAD_AFTER
    while time.monotonic() < end:
        time.sleep(POLL_SECONDS)
        if _beats(heartbeat) != first:
            return True
    return False


def _beats(uri: str) -> bytes:
    with contextlib.suppress(FileNotFoundError):
        return storage.read_bytes(uri)
    return b""


def _running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _row(tables: EncoderTables, lease: Lease, job: str, phase: str) -> dict[str, Any]:
    return {
        "run_id": lease.run_id,
        "phase": phase,
        "job": job,
        "spec": tables.spec.digest,
        "epoch": lease.epoch,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "at": datetime.now(UTC),
        "libraries": list(libraries.installed().items()),
        "summary": lease.summary,
    }


def _file(tables: EncoderTables, row: Mapping[str, Any]) -> table.File:
    rows = pa.Table.from_pylist([dict(row)], schema=schema.RUNS.columns)
    return table.write_file(tables.table_uri(schema.RUNS), schema.RUNS, rows)
