"""The data files of a table: what its log names, and what lies in its folder."""

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable

from smart_jobs import schema, storage

UNREADABLE = (pa.ArrowException, OSError, KeyError)
"""What pyarrow raises for a Parquet file that is not there, cut off, overwritten, or without a wanted column."""

LONG_AGO = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class Named:
    """What the log says of a file: its size in bytes, and its rows where the statistics tell."""

    size: int
    rows: int | None


@dataclass(frozen=True, slots=True)
class Lying:
    """What the store says of a file: its size in bytes, and when it was written."""

    size: int
    at: datetime


def named(handle: DeltaTable) -> dict[str, Named]:
    """The files of a snapshot by their paths relative to the table."""
    actions = pa.table(cast("Any", handle.get_add_actions(flatten=True)))
    rows = actions["num_records"].to_pylist() if "num_records" in actions.column_names else [None] * len(actions)
    columns = (actions["path"].to_pylist(), actions["size_bytes"].to_pylist(), rows)
    return {path: Named(size, count) for path, size, count in zip(*columns, strict=True)}


def lying(uri: str) -> dict[str, Lying]:
    """The files that lie directly in a folder, by name; hidden ones are nobody's data."""
    found = ((name_of(file), info) for file, info in storage.list_files(uri, recursive=False))
    return {name: Lying(info.size, info.mtime) for name, info in found if name[0] not in "._"}


def name_of(uri: str) -> str:
    """The last part of a URI."""
    return uri.rpartition("/")[2]


def replaced(uri: str, since: datetime = LONG_AGO) -> set[str]:
    """The paths of files that commits to the table at `uri` have taken out since then, as far as its log goes back."""
    paths: set[str] = set()
    for file, info in storage.list_files(storage.join(uri, "_delta_log"), recursive=False):
        if file.endswith(".json") and info.mtime >= since:
            paths |= _removed(storage.read_bytes(file).splitlines(), since)
    return paths


def _removed(lines: Iterable[bytes], since: datetime) -> set[str]:
    actions = (json.loads(line).get("remove") for line in lines if b'"remove"' in line)
    earliest = since.timestamp() * 1000
    return {action["path"] for action in actions if action and action.get("deletionTimestamp", 0) >= earliest}


def read(uri: str, name: str, columns: list[str]) -> pa.Table:
    """These columns of one data file. Raises one of `UNREADABLE` where it cannot be read."""
    with storage.open_input(storage.join(uri, name)) as handle:
        file = pq.ParquetFile(handle)
        if missing := set(columns) - set(file.schema_arrow.names):
            raise KeyError(f"no column {sorted(missing)[0]}")
        return file.read(columns=columns)


def rows(uri: str, name: str, kind: schema.Table) -> pa.Table:
    """All columns of one data file; those that may be null are so where an older release did not write them yet."""
    with storage.open_input(storage.join(uri, name)) as handle:
        file = pq.ParquetFile(handle)
        missing = lacking(file.schema_arrow.names, kind)
        found = file.read(columns=[field.name for field in kind.columns if field not in missing])
    for field in missing:
        found = found.append_column(field, pa.nulls(found.num_rows, field.type))
    return found.select(kind.columns.names).cast(kind.columns)


def lacking(names: Collection[str], kind: schema.Table) -> list[pa.Field]:
    """The columns of a table that are not among `names`. Raises KeyError where one of them may not be null."""
    missing = [field for field in kind.columns if field.name not in names]
    for field in missing:
        if not field.nullable:
            raise KeyError(f"no column {field.name}")
    return missing
