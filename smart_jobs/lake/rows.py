"""The rows of pooled of given segments: found by a scan, or in a copy that lies on this machine."""

import shutil
import tempfile
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from smart_jobs.lake import matrices, table
from smart_jobs.lake.layout import Snapshot
from smart_jobs.records import JobError

NARROW = ["segment_id", "asset_id", "uri", "page", "start", "end"]
"""The columns that a copy holds in memory; strings are there once each."""
AT_ONCE = 256 << 20
"""Bytes of vectors that are copied at a time."""


class Rows(Protocol):
    """Gives the rows of segments `ids` (n,) int64, sorted, each once, in their order."""

    def read(self, ids: np.ndarray, columns: list[str]) -> pa.Table:
        """These columns of them."""
        ...

    def vectors(self, ids: np.ndarray) -> np.ndarray:
        """Their pooled vectors (n, d) float32."""
        ...


class Scanned:
    """Goes through the columns that are asked for each time, and holds nothing."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._pooled, self._dim = snapshot.pooled, snapshot.tables.spec.dim

    def read(self, ids: np.ndarray, columns: list[str]) -> pa.Table:
        """As `Rows` says."""
        wanted = list(dict.fromkeys(["segment_id", *columns]))
        rows = table.read(self._pooled, wanted, pc.field("segment_id").isin(ids))
        return rows.sort_by("segment_id").select(columns)

    def vectors(self, ids: np.ndarray) -> np.ndarray:
        """As `Rows` says."""
        return matrices.matrix(self.read(ids, ["pooled"])["pooled"], self._dim)


class Copied:
    """Reads the table once; from then on a row costs what it is large.

    The vectors lie in a temporary file that no folder names, so it is gone with this process however that ends; other
    columns are in memory.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        """Copy 4 · d bytes a segment to disk. Raises JobError where they do not fit."""
        pooled, dim = snapshot.pooled, snapshot.tables.spec.dim
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - the vectors are mapped for as long as this object lives
        _check_space(4 * dim * pooled.count())
        parts = []
        for group in matrices.groups(pooled, dim, AT_ONCE):
            rows = matrices.columns(pooled, group, [*NARROW, "pooled"])
            matrices.matrix(rows["pooled"], dim).tofile(self._file)
            parts.append(pa.table([_short(rows[name]) for name in NARROW], NARROW))
        self._file.flush()
        rows = pa.concat_tables(parts).unify_dictionaries()
        self._order = np.argsort(rows["segment_id"].to_numpy(), kind="stable")
        self._rows = rows.take(self._order).combine_chunks()
        self._ids = self._rows["segment_id"].to_numpy()
        self._vectors = np.memmap(self._file, np.float32, "r", shape=(len(rows), dim))

    def read(self, ids: np.ndarray, columns: list[str]) -> pa.Table:
        """As `Rows` says, of the columns `NARROW`."""
        found = self._rows.select(columns).take(self._at(ids))
        plain = [_plain(found[name]) for name in columns]
        return pa.table(plain, columns)

    def vectors(self, ids: np.ndarray) -> np.ndarray:
        """As `Rows` says."""
        return np.asarray(self._vectors[self._order[self._at(ids)]])

    def _at(self, ids: np.ndarray) -> np.ndarray:
        return np.searchsorted(self._ids, ids)


def _check_space(needed: int) -> None:
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise JobError(f"{folder}: each worker copies the lake's vectors there, {needed:,} bytes, and {free:,} are "
                       "free; set TMPDIR to a larger disk, or take fewer workers: cluster.encode_actors=1")  # fmt: skip


def _short(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.dictionary_encode() if pa.types.is_string(column.type) else column


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
