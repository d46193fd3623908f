"""Rows leave a table by its files being written again without them: one commit takes the old files and adds the new.

Never by `DeltaTable.delete`: from a snapshot that an append has overtaken it fails, and its own writer properties would
pack a states file again so that no value can be found by its offset.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

from smart_jobs import schema
from smart_jobs.lake import releases, table
from smart_jobs.lake.layout import Lake
from smart_jobs.lake.table import Change

Keep = Callable[[pa.Table], pa.Array]
"""Rows -> a bool for each: does it stay."""


@dataclass(frozen=True, slots=True)
class Rest:
    """What stays of the files that lose rows, part by file, the paths of those files, and how many rows go."""

    parts: Sequence[pa.Table]
    removes: Sequence[str]
    gone: int


def rest(handle: DeltaTable, kind: schema.Table, affected: Any, keep: Keep) -> Rest:
    """Look through the files that have rows in `affected` (a pyarrow expression); one that loses none is left alone."""
    parts: list[pa.Table] = []
    removes: list[str] = []
    gone = 0
    stored, lacking = table.dataset(handle), releases.lacking(handle)
    for fragment in stored.get_fragments():
        if fragment.count_rows(filter=affected):
            whole = releases.filled(fragment.to_table(schema=stored.schema), lacking)
            rows = whole.select(kind.columns.names).cast(kind.columns)
            stays = rows.filter(keep(rows))
            if stays.num_rows < rows.num_rows:
                parts.append(stays)
                removes.append(fragment.path.rpartition("/")[2])
                gone += rows.num_rows - stays.num_rows
    return Rest(parts, removes, gone)


def drop(lake: Lake, kind: schema.Table, affected: Any, keep: Keep) -> int:
    """Take rows out of a table that all encoders share; how many went.

    Looks and tries again where another writer has replaced a file meanwhile. A crash leaves the table as it was, or
    without the rows.
    """
    uri = lake.table_uri(kind)
    for attempt in range(table.ATTEMPTS):
        handle = table.open_table(uri)
        found = rest(handle, kind, affected, keep)
        if not found.gone:
            break
        stays: pa.Table = pa.concat_tables([kind.columns.empty_table(), *found.parts])
        files = [table.write_file(uri, kind, stays)] if stays.num_rows else []
        try:
            table.commit(handle, Change(files, found.removes, {}, {}))
        except CommitFailedError:
            if attempt == table.ATTEMPTS - 1:
                raise
        else:
            return found.gone
    return 0
