"""A Delta table: created, opened, read, written to, committed."""

import contextlib
import json
import re
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction

from smart_jobs import schema, storage
from smart_jobs.lake import releases
from smart_jobs.records import JobError

PROPERTIES = {"delta.logRetentionDuration": "interval 3650 days"}
"""Delta forgets versions after 30 days by default; ours are pinned by indexes and evaluations."""

ATTEMPTS = 10
"""Commits that are tried before a table is called too busy."""


@dataclass(frozen=True, slots=True)
class File:
    """A data file of a table, written but perhaps not committed. `stats` is Delta's JSON."""

    path: str
    size: int
    rows: int
    stats: str


def create(uri: str, table: schema.Table) -> None:
    """Make the table at `uri` where there is none."""
    where, options = storage.delta(uri)
    left = storage.pauses(uri)
    while True:
        try:
            with _plainly(uri):
                DeltaTable.create(
                    where,
                    table.columns,
                    mode="ignore",
                    storage_options=options,
                    name=table.name,
                    description=f"{releases.DESCRIPTION}{schema.VERSION}",
                    configuration=PROPERTIES,
                )
            return
        except (OSError, DeltaError):
            if DeltaTable.is_deltatable(where, options):  # another's, or ours and the store's answer was lost
                return
            if not left:
                raise
            time.sleep(left.pop(0))


@contextlib.contextmanager
def _plainly(uri: str) -> Iterator[None]:
    """What deltalake says of a disk or store that refuses, as an OSError of one line that names the table."""
    try:
        yield
    except (OSError, DeltaError) as error:
        if isinstance(error, DeltaError) and "object store" not in str(error).lower():
            raise
        reason = " ".join(re.sub(r"\x1b\[\d+m|↳", "", str(error)).split())
        raise OSError(f"{uri}: {reason[:400]}") from error


def open_table(uri: str, version: int | None = None) -> DeltaTable:
    """A table at its newest or the given version. Raises JobError where it is not there, or a newer release made it."""
    try:
        where, options = storage.delta(uri)
        with _plainly(uri):
            table = DeltaTable(where, version=version, storage_options=options)
    except TableNotFoundError as error:
        raise JobError(f"{uri}: the table is missing; the lake was made by something else or is damaged") from error
    releases.check(uri, releases.recorded(table))
    return table


def table_id(table: DeltaTable) -> str:
    """The id that Delta drew when the table was made: with a version it names a state for good."""
    return str(table.metadata().id)


def read(table: DeltaTable, columns: Sequence[str], where: Any = None) -> pa.Table:
    """These columns of a table's snapshot; `where` is a pyarrow expression.

    A column that an older release did not write reads as null; one that may not be null as 0, or as empty. Arrow's own
    retries miss some answers 503 ("Failed to flush response stream"), so the read is tried again here.
    """
    left = storage.pauses(storage.of_delta(table.table_uri))
    while True:
        try:
            rows = dataset(table).to_table(columns=list(columns), filter=where)
            return releases.filled(rows, releases.lacking(table))
        except OSError:
            if not left:
                raise
            time.sleep(left.pop(0))


def dataset(table: DeltaTable) -> pads.Dataset:
    """A table's snapshot as a pyarrow dataset; a column that an older release did not write is null."""
    found = table.to_pyarrow_dataset(filesystem=storage.delta_folder(table.table_uri))
    return releases.with_nulls(found, releases.lacking(table))


def write_file(uri: str, table: schema.Table, rows: pa.Table) -> File:
    """Write `rows` as one Parquet file of the table at `uri`, not committed yet."""
    checked = rows.select(table.columns.names).cast(table.columns)
    sink = pa.BufferOutputStream()
    pq.write_table(checked, sink, compression="zstd")
    data = sink.getvalue()
    name = f"{uuid.uuid4().hex}.parquet"
    storage.write_bytes(storage.join(uri, name), data.to_pybytes())
    return File(name, data.size, checked.num_rows, stats(checked.num_rows))


def stats(rows: int) -> str:
    """Delta's statistics of a file: how many rows it has, and no more.

    A column's range in one file and not in another, or a range for some columns only, makes deltalake 1.6 tell pyarrow
    that the others hold nothing but null: filtered reads then lose rows without a word. Hashed ids skip no file anyway.
    """
    return json.dumps({"numRecords": rows})


@dataclass(frozen=True, slots=True)
class Change:
    """One commit to one table: files that come, paths that go, and {application: its transaction version}.

    `data_change` is false where the rows stay the same and only the files differ.
    """

    adds: Sequence[File]
    removes: Sequence[str]
    apps: Mapping[str, int]
    metadata: Mapping[str, str]
    data_change: bool = True


def commit(table: DeltaTable, change: Change) -> None:
    """Commit `change` from the snapshot that `table` holds, and move `table` on to the result.

    Raises CommitFailedError where someone has committed for one of the same `apps` since that snapshot. All of the
    change becomes visible, or nothing. Where an object store's answer is lost, the log says whether the commit was
    made; if not, it is tried again.
    """
    mark, left = uuid.uuid4().hex, storage.pauses(storage.of_delta(table.table_uri))
    remote = bool(left)
    while True:
        try:
            _transact(table, change, mark)
            break
        except (OSError, CommitFailedError) as error:
            if remote and _made(table, mark):
                break
            if isinstance(error, CommitFailedError) or not left:
                raise
            time.sleep(left.pop(0))
    table.update_incremental()


def _made(table: DeltaTable, mark: str) -> bool:
    """Whether the log has a commit with `mark` that `table` has not seen yet."""
    now = open_table(storage.of_delta(table.table_uri))
    newer = now.version() - table.version()
    return newer > 0 and any(entry.get("commit") == mark for entry in now.history(newer))


def _transact(table: DeltaTable, change: Change, mark: str) -> None:
    now = int(time.time() * 1000)
    actions: list[AddAction | RemoveAction] = [
        AddAction(file.path, file.size, {}, now, data_change=change.data_change, stats=file.stats)
        for file in change.adds
    ]
    actions += [RemoveAction(path, change.data_change, now) for path in change.removes]
    with _plainly(table.table_uri):
        table.create_write_transaction(
            actions,
            mode="append",
            schema=table.schema(),
            commit_properties=CommitProperties(
                custom_metadata={**change.metadata, "commit": mark},
                app_transactions=[Transaction(app, version) for app, version in change.apps.items()],
            ),
        )


def files_of(table: DeltaTable) -> Iterator[str]:
    """The paths of a snapshot's data files, relative to the table."""
    for path in pa.table(cast("Any", table.get_add_actions(flatten=True)))["path"].to_pylist():
        yield str(path)
