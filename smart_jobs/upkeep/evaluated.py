"""Which versions of tables the evaluations of a lake were made from, and those that cannot be repeated any more."""

import json
from collections.abc import Collection, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from deltalake.exceptions import CommitFailedError

from smart_jobs import schema
from smart_jobs.lake import rewriting, table
from smart_jobs.lake.layout import Lake
from smart_jobs.lake.table import Change

Pin = tuple[str, int]
"""A table's id, and one of its versions."""


def pins(lake: Lake) -> dict[str, frozenset[Pin]]:
    """{run id: the versions that it needs} of the evaluations that can be repeated."""
    rows = table.read(table.open_table(lake.table_uri(schema.EVALUATIONS)), ["run_id", "table_versions", "repeatable"])
    found = (row for row in rows.to_pylist() if row["repeatable"] is not False)
    return {row["run_id"]: frozenset(_pins(json.loads(row["table_versions"]))) for row in found}


def _pins(content: Any) -> Iterator[Pin]:
    if isinstance(content, dict) and "table_id" in content:
        yield content["table_id"], int(content["version"])
    elif isinstance(content, dict):
        for value in content.values():
            yield from _pins(value)


def unrepeatable(lake: Lake, run_ids: Collection[str]) -> int:
    """Mark these evaluations: what they were made from is gone; how many rows say so now.

    One commit; tried again where another writer has replaced the same files meanwhile.
    """
    ids, kind = pa.array(sorted(run_ids), pa.string()), schema.EVALUATIONS
    uri = lake.table_uri(kind)

    def keep(rows: pa.Table) -> pa.Array:
        return pc.invert(pc.is_in(rows["run_id"], ids))

    for attempt in range(table.ATTEMPTS):
        handle = table.open_table(uri)
        found = rewriting.rest(handle, kind, pc.field("run_id").isin(ids), keep)
        if not found.gone:
            return 0
        before: pa.Table = table.read(handle, kind.columns.names, pc.field("run_id").isin(ids)).cast(kind.columns)
        place = kind.columns.get_field_index("repeatable")
        marked = before.set_column(place, kind.columns.field(place), pa.array([False] * len(before), pa.bool_()))
        file = table.write_file(uri, kind, pa.concat_tables([marked, *found.parts]))
        try:
            table.commit(handle, Change([file], found.removes, {}, {}))
        except CommitFailedError:
            if attempt == table.ATTEMPTS - 1:
                raise
        else:
            break
    return found.gone
