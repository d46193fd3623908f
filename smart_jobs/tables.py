"""The rows of a table: JSONL, Parquet, Delta."""

import io
import json
from collections.abc import Iterable, Iterator
from typing import Any, cast

import pyarrow as pa
import pyarrow.dataset as pads
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from smart_jobs import cells, listing, storage
from smart_jobs.keys import Columns
from smart_jobs.records import UsageError


def rows(uri: str, kind: str, columns: Columns) -> Iterator[dict[str, Any]]:
    """The named columns of each row; an image or a video that lies in a column itself as the name of its cell.

    Raises UsageError for what is no such table or lacks a column, in one line, and OSError where it cannot be read.
    """
    if kind == "jsonl":
        for path, _ in listing.matches(uri):
            yield from _lines(path, columns)
        return
    dataset, files = _dataset(uri, kind)
    named = [columns.title, columns.image, columns.video, *columns.meta]
    wanted = list(dict.fromkeys([columns.id, columns.text, *(name for name in named if name)]))
    _check_columns(uri, columns, dataset.schema.names)
    wanted = [name for name in wanted if name in dataset.schema.names]
    held = [name for name in wanted if name in (columns.image, columns.video) and _holds(dataset, name)]
    if not held:
        yield from _rows(dataset.to_batches(columns=wanted))
        return
    rest = [name for name in wanted if name not in held]
    for fragment in dataset.get_fragments():
        file = files.get(fragment.path) or storage.join(uri, fragment.path)
        _check_name(uri, file)
        found = {name: cells.names(file, name) for name in held}
        for row in _rows(fragment.to_batches(schema=dataset.schema, columns=rest)):
            yield row | {name: next(values) for name, values in found.items()}


def _rows(batches: Iterable[pa.RecordBatch]) -> Iterator[dict[str, Any]]:
    for batch in batches:
        yield from batch.to_pylist()


def _holds(dataset: pads.Dataset, name: str) -> bool:
    return cells.holds(dataset.schema.field(name).type)


def _check_name(uri: str, file: str) -> None:
    if not file.endswith(".parquet"):
        raise UsageError(f"source {uri}: {file}: images in a column are found in files named *.parquet; rename it")


def _check_columns(uri: str, columns: Columns, found: list[str]) -> None:
    text = None if columns.image or columns.video else columns.text  # an image needs no caption
    wanted = {"text": text, "title": columns.title, "image": columns.image, "video": columns.video}
    wanted |= {f"meta {name}": name for name in columns.meta}
    for role, name in wanted.items():
        if name and name not in found:
            raise UsageError(f"source {uri}: no column {name!r} for {role}; it has {', '.join(found)}")


def _dataset(uri: str, kind: str) -> tuple[pads.Dataset, dict[str, str]]:
    """The table, and the URIs of its files by their paths; a Delta table's paths begin in its folder."""
    try:
        if kind == "delta":
            where, options = storage.delta(uri)
            table = DeltaTable(where, storage_options=options)
            return table.to_pyarrow_dataset(filesystem=storage.delta_folder(table.table_uri)), {}
        found = [path for path, _ in listing.matches(uri) if not path.rpartition("/")[2].startswith("_")]  # _SUCCESS
        files = {storage.filesystem(path)[1]: path for path in found}
        return pads.dataset(list(files), filesystem=storage.filesystem(uri)[0], format="parquet"), files
    except (DeltaError, pa.ArrowInvalid) as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"source {uri}: not a readable {kind.capitalize()} table: {reason}") from error


def _lines(path: str, columns: Columns) -> Iterator[dict[str, Any]]:
    with storage.open_input(path) as handle:
        for number, line in enumerate(io.BufferedReader(cast("io.RawIOBase", handle)), 1):
            if line.strip():
                yield _line(path, number, line, columns)


def _line(path: str, number: int, line: bytes, columns: Columns) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise UsageError(f"{path} line {number}: expected a JSON object, found {line[:60]!r}: {error}") from error
    if not isinstance(row, dict) or not {columns.text, columns.image, columns.video} & set(row):
        raise UsageError(f"{path} line {number}: expected an object with {columns.text!r}, found {line[:60]!r}")
    return row
