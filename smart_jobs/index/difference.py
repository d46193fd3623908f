"""What has come into pooled and left it since a version: by the files of its log, not by scanning the table."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from smart_jobs import storage
from smart_jobs.index.manifest import Pin
from smart_jobs.lake import matrices, table
from smart_jobs.records import JobError

KEY = ["segment_id", "encoded_at"]
"""What makes two rows the same vector: a segment that was damaged and encoded again keeps its id."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Ids (n,) int64, sorted. One that was encoded again is in both. `files` are those that hold the added."""

    added: np.ndarray
    removed: np.ndarray
    files: tuple[str, ...]

    @property
    def nothing(self) -> bool:
        """Whether the rows are the same, however they are spread over files."""
        return not len(self.added) and not len(self.removed)


def since(pin: Pin, pooled: DeltaTable) -> Difference | None:
    """What `pooled` has that the version of `pin` had not, and the other way round; None where that cannot be read.

    Rows of files that both versions have are never looked at, and of the others two columns: compaction, which moves
    rows to other files, makes no difference.
    """
    if table.table_id(pooled) != pin.table_id:
        return None
    if pooled.version() == pin.version:
        return Difference(np.empty(0, np.int64), np.empty(0, np.int64), ())
    uri = storage.of_delta(pooled.table_uri)
    try:
        then = table.open_table(uri, pin.version)
        before, now = set(table.files_of(then)), set(table.files_of(pooled))
        gone = _keys(then, sorted(before - now))
    except (JobError, DeltaError, OSError, pa.ArrowException):
        return None
    come = _keys(pooled, files := sorted(now - before))
    return Difference(_only(come, gone), _only(gone, come), tuple(files))


def _keys(handle: DeltaTable, files: list[str]) -> pa.Table:
    if files:
        return matrices.columns(handle, files, KEY)
    return pa.table([pa.array([], pa.int64()), pa.array([], pa.timestamp("us", tz="UTC"))], names=KEY)


def _only(left: pa.Table, right: pa.Table) -> np.ndarray:
    """The ids of rows that `left` alone has."""
    return np.sort(left.join(right, KEY, join_type="left anti")["segment_id"].to_numpy())
