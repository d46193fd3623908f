"""Bytes in a column of a Parquet file, named as a file is: `<file>.parquet#<column>/<row>`, rows from 0.

The column holds bytes, or structs of `bytes` and `path` as Hugging Face's datasets write images.
"""

import bisect
import contextlib
import functools
import itertools
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from smart_jobs import storage
from smart_jobs.objects import Info

OPEN = 2
"""Columns that stay open: each holds the page that was read last, which may be a whole row group."""
BATCH_BYTES = 16 * 2**20
BUFFER = 2**20

_NAME = re.compile(r"(.*\.parquet)#(.+)/(\d+)", re.DOTALL)
_READING = threading.Lock()


@dataclass(frozen=True, slots=True)
class Cell:
    """A row of a column of a Parquet file."""

    file: str
    column: str
    row: int

    @property
    def uri(self) -> str:
        """Its name."""
        return f"{self.file}#{self.column}/{self.row}"


def named(uri: str) -> Cell | None:
    """The cell of this name; None for the name of a file."""
    found = _NAME.fullmatch(uri)
    return Cell(found[1], found[2], int(found[3])) if found else None


def holds(kind: pa.DataType) -> bool:
    """Whether the values of a column of this type are bytes, or structs that have them."""
    if pa.types.is_struct(kind):
        place = kind.get_field_index("bytes")
        return place >= 0 and holds(kind.field(place).type)
    return any(
        asked(kind)
        for asked in (
            pa.types.is_binary,
            pa.types.is_large_binary,
            pa.types.is_binary_view,
            pa.types.is_fixed_size_binary,
        )
    )


def read(cell: Cell, stamp: str) -> bytes:
    """The bytes of a cell, or of the file that a struct without them names. `stamp` is the Parquet file's.

    Rows in their order read the file once, a batch at a time; a row before the last one reads its row group again.
    Raises OSError where there is nothing to read.
    """
    with _READING, _plainly(cell.uri):
        value = _opened(cell.file, cell.column, stamp).value(cell.row)
    content, path = _parts(value)
    if content is not None:
        return content
    if path is None:
        raise OSError(f"{cell.uri}: there is nothing in this row")
    return storage.read_bytes(_beside(cell.file, path))


def info(cell: Cell, file: Info) -> Info:
    """What a listing tells of a cell, from what it tells of its file: the stamp, and the mean size of such cells."""
    if file.kind != "file":
        return file
    with _READING, contextlib.suppress(OSError), _plainly(cell.uri):
        return replace(file, size=_opened(cell.file, cell.column, file.stamp).mean)
    return replace(file, size=0)  # it fails when it is read


def names(file: str, column: str) -> Iterator[str | None]:
    """What each row of the column names: its own cell, the file of a struct without bytes, or nothing.

    Values are looked at only in row groups of which the footer does not say that all have bytes. Raises OSError.
    """
    with _plainly(file):
        opened = _Column(file, column)
        for group, (start, end) in enumerate(itertools.pairwise(opened.starts)):
            full = opened.nulls(group) == 0
            for row in range(start, end):
                content, path = (b"", None) if full else _parts(opened.value(row))
                yield Cell(file, column, row).uri if content is not None else path and _beside(file, path)


class _Column:
    """A column of an open Parquet file, which is read forward."""

    def __init__(self, file: str, column: str) -> None:
        """Raises OSError where there is none, or none with bytes."""
        fs, path = storage.filesystem(file)
        self._file = pq.ParquetFile(path, filesystem=fs, pre_buffer=False, buffer_size=BUFFER)
        schema = self._file.schema_arrow
        if column not in schema.names or not holds(schema.field(column).type):
            raise OSError(f"no column {column!r} with bytes; there are {', '.join(schema.names)}")
        self._column, self._group, self._first = column, -1, 0
        groups = range(self._file.num_row_groups)
        self.starts = [0, *itertools.accumulate(self._file.metadata.row_group(i).num_rows for i in groups)]
        self._batches: Iterator[pa.RecordBatch] = iter(())
        self._rows = pa.array([])

    @property
    def mean(self) -> int:
        """Bytes of a row in the file."""
        groups = range(self._file.num_row_groups)
        taken = sum(chunk.total_compressed_size for group in groups for chunk in self._chunks(group))
        return int(taken // max(1, self.starts[-1]))

    def nulls(self, group: int) -> int | None:
        """Rows of a group without bytes; None where the footer does not say."""
        chunk = next(each for each in self._chunks(group) if each.path_in_schema in (self._column, self._bytes))
        said = chunk.statistics
        return int(said.null_count) if said is not None and said.has_null_count else None

    def value(self, row: int) -> Any:
        """What is in a row. Raises OSError beyond the last."""
        if row >= self.starts[-1]:
            raise OSError(f"it has {self.starts[-1]:,} rows")
        group = bisect.bisect_right(self.starts, row) - 1
        if group != self._group or row < self._first:
            self._start(group)
        while row >= self._first + len(self._rows):
            self._first += len(self._rows)
            batch = next(self._batches, None)
            if batch is None:
                raise OSError("its row group ends before it")
            self._rows = batch.column(0)
        return self._rows[row - self._first].as_py()

    def _start(self, group: int) -> None:
        taken = sum(chunk.total_uncompressed_size for chunk in self._chunks(group))
        rows = self._file.metadata.row_group(group).num_rows
        size = max(1, int(BATCH_BYTES * rows // max(1, taken)))
        self._batches = self._file.iter_batches(size, row_groups=[group], columns=[self._column], use_threads=False)
        self._group, self._first, self._rows = group, self.starts[group], pa.array([])

    @property
    def _bytes(self) -> str:
        return f"{self._column}.bytes"

    def _chunks(self, group: int) -> Iterator[Any]:
        """The column's parts in the file's metadata."""
        found = self._file.metadata.row_group(group)
        for place in range(found.num_columns):
            chunk = found.column(place)
            if chunk.path_in_schema == self._column or chunk.path_in_schema.startswith(f"{self._column}."):
                yield chunk


@functools.lru_cache(maxsize=OPEN)
def _opened(file: str, column: str, _stamp: str) -> _Column:
    """A replaced file has another stamp, and so is opened afresh."""
    return _Column(file, column)


@contextlib.contextmanager
def _plainly(name: str) -> Iterator[None]:
    """Errors as one line that begins with the name; what is open is then read no further."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        _opened.cache_clear()
        raise OSError(f"{name}: {' '.join(str(error).split())}") from error


def _parts(value: Any) -> tuple[bytes | None, str | None]:
    """The bytes and the path of a value."""
    if isinstance(value, dict):
        return value["bytes"], value.get("path") or None
    return value, None


def _beside(file: str, path: str) -> str:
    return storage.beside(file.rpartition("/")[0], path)
