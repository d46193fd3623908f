"""The rows of Parquet, JSONL, JSON and saved Arrow files, with where each stands."""

import contextlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from smart_jobs import storage
from smart_jobs.records import UsageError

AT_ONCE = 100
"""Rows made of a Parquet file at a time: some have a thousand candidates."""


@dataclass(frozen=True, slots=True)
class Row:
    """Values by column, and the file and place (from 0) of the row."""

    values: Mapping[str, Any]
    file: str
    place: int

    def __getitem__(self, column: str) -> Any:
        """Raises UsageError, naming the row and its columns, for one that it has not."""
        if column not in self.values:
            raise UsageError(f"{self}: no column {column!r}; it has {', '.join(self.values) or 'none'}")
        return self.values[column]

    def text(self, column: str) -> str:
        """A string; nothing is an empty one, and a whole number its digits. Raises UsageError for anything else."""
        value = self[column]
        if isinstance(value, bool) or not isinstance(value, str | int | None):
            raise self.wrong(column, "a string")
        return "" if value is None else _plain(str(value))

    def texts(self, column: str) -> list[str]:
        """A list of strings, in which nothing is an empty one. Raises UsageError for anything else."""
        value = self[column]
        if not isinstance(value, list) or not all(isinstance(item, str | None) for item in value):
            raise self.wrong(column, "a list of strings")
        return [_plain(item or "") for item in value]

    def whole(self, column: str) -> int:
        """A whole number, also one that is written as a string. Raises UsageError for anything else."""
        value = self[column]
        try:
            return int(value)
        except (TypeError, ValueError) as error:
            raise self.wrong(column, "a whole number") from error

    def number(self, column: str) -> float:
        """A number as it is. Raises UsageError for anything else."""
        value = self[column]
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong(column, "a number")
        return value

    def wrong(self, column: str, expected: str) -> UsageError:
        """What to raise for a value that is not as it should be."""
        return UsageError(f"{self}: expected {expected} as {column!r}, found {str(self[column])[:60]!r}")

    def __str__(self) -> str:
        """Where it stands."""
        return f"{self.file} row {self.place}"


def rows(files: Iterable[str], columns: Sequence[str] | None = None) -> Iterator[Row]:
    """Every row, file after file. `columns`: those that are needed, if there; what is not is not read.

    Raises UsageError, in one line, for a file that is not what its name says.
    """
    for uri in files:
        for place, values in enumerate(_rows(uri, columns)):
            yield Row(values, uri, place)


def keeps_images(uri: str, column: str) -> bool:
    """Whether a file is a Parquet file whose `column` holds images as the hub's datasets do, with their `bytes`."""
    if not uri.endswith(".parquet"):
        return False
    with _readable(uri), storage.open_input(uri) as handle:
        schema = pq.ParquetFile(handle).schema_arrow
    kind = schema.field(column).type if column in schema.names else pa.null()
    return bool(pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0)


def length(uri: str) -> int:
    """The rows of a Parquet file."""
    with _readable(uri), storage.open_input(uri) as handle:
        return int(pq.ParquetFile(handle).metadata.num_rows)


def _rows(uri: str, columns: Sequence[str] | None) -> Iterator[dict[str, Any]]:
    if uri.endswith(".parquet"):
        return _parquet(uri, columns)
    return _arrow(uri, columns) if uri.endswith(".arrow") else _json(uri)


def _parquet(uri: str, columns: Sequence[str] | None) -> Iterator[dict[str, Any]]:
    with _readable(uri), storage.open_input(uri) as handle:
        file = pq.ParquetFile(handle)
        wanted = None if columns is None else [name for name in columns if name in file.schema_arrow.names]
        for batch in file.iter_batches(AT_ONCE, columns=wanted):
            yield from batch.to_pylist()


def _arrow(uri: str, columns: Sequence[str] | None) -> Iterator[dict[str, Any]]:
    """The stream that `save_to_disk` writes."""
    with _readable(uri), storage.open_input(uri) as handle, pa.ipc.open_stream(handle) as stream:
        for batch in stream:
            wanted = [name for name in batch.schema.names if columns is None or name in columns]
            yield from batch.select(wanted).to_pylist()


def _json(uri: str) -> Iterator[dict[str, Any]]:
    """An object a line, or one list of objects."""
    with storage.open_input(uri) as handle:
        buffered = io.BufferedReader(cast("io.RawIOBase", handle))
        found = _objects(uri, buffered.read()) if uri.endswith(".json") else _lines(uri, buffered)
        for number, value in enumerate(found):
            if not isinstance(value, dict):
                raise UsageError(f"{uri} row {number}: expected a JSON object, found {str(value)[:60]!r}")
            yield value


def _objects(uri: str, content: bytes) -> Iterator[Any]:
    try:
        found = json.loads(content)
    except ValueError:
        return _lines(uri, content.splitlines())
    return iter(found if isinstance(found, list) else [found])


def _lines(uri: str, lines: Iterable[bytes]) -> Iterator[Any]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield json.loads(line)
            except ValueError as error:
                raise UsageError(
                    f"{uri} line {number}: expected a JSON object, found {line[:60]!r}: {error}"
                ) from error


@contextlib.contextmanager
def _readable(uri: str) -> Iterator[None]:
    """Arrow's own errors as one line that names the file."""
    try:
        yield
    except pa.ArrowInvalid as error:
        raise UsageError(f"{uri}: cannot be read: {' '.join(str(error).split())[:200]}") from error


def _plain(text: str) -> str:
    """A text without half surrogate pairs, which JSON can escape and Arrow cannot hold."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
