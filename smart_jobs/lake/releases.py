"""Tables that another release of smart-jobs made: newer ones are refused, older ones get the columns that they lack."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads
from deltalake import DeltaTable

from smart_jobs import schema
from smart_jobs.records import JobError

DESCRIPTION = "smart-jobs schema "
"""What every table's description says, followed by the `schema.VERSION` of the release that made it."""


def check(what: str, version: int) -> None:
    """Raise JobError where `what`, a lake or a table, has a schema that this release does not know yet."""
    if version > schema.VERSION:
        raise JobError(
            f"{what}: made by a newer smart-jobs, with schema {version}; this one knows {schema.VERSION}: upgrade it"
        )


def recorded(table: DeltaTable) -> int:
    """The schema version that a table was made with; 0 where it says none."""
    number = str(table.metadata().description or "").removeprefix(DESCRIPTION)
    return int(number) if number.isdecimal() else 0


def lacking(table: DeltaTable) -> list[pa.Field]:
    """The columns of today's schema that a table was made without."""
    there = {field.name for field in table.schema().fields}
    known = {kind.name: kind.columns for kind in (*schema.ENCODER_TABLES, *schema.LAKE_TABLES)}
    return [field for field in known.get(str(table.metadata().name), ()) if field.name not in there]


def with_nulls(stored: pads.Dataset, fields: Sequence[pa.Field]) -> pads.Dataset:
    """`stored` with these columns too, null everywhere, so that they can be read and filtered by."""
    added = [field.with_nullable(True) for field in fields]
    return stored.replace_schema(pa.schema([*stored.schema, *added])) if added else stored


def filled(rows: pa.Table, fields: Sequence[pa.Field]) -> pa.Table:
    """`rows` with 0, or what is empty, in those of `fields` that may not be null: code that reads them expects it."""
    for field in fields:
        if not field.nullable and field.name in rows.column_names:
            at = rows.column_names.index(field.name)
            rows = rows.set_column(at, field, pa.array([_blank(field.type)] * rows.num_rows, field.type))
    return rows


def _blank(kind: pa.DataType) -> Any:
    if pa.types.is_nested(kind):
        return []
    return "" if pa.types.is_string(kind) else b"" if pa.types.is_binary(kind) else 0
