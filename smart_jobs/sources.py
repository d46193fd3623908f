"""Files, folders, globs and tables -> assets, in a stable order and without opening what need not be opened."""

import fnmatch
import io
import json
from collections.abc import Iterator
from typing import Any, cast

import pyarrow as pa
import pyarrow.dataset as pads
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from smart_jobs import storage
from smart_jobs.objects import Info
from smart_jobs.records import Asset, Media, UsageError, text_digest
from smart_jobs.settings import Columns, Source

TABLE_SUFFIXES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
TEXT_SUFFIXES = (".txt", ".text", ".md", ".rst", ".log")
BEIR = Columns(id="_id", text="text", title="title", meta=("path",))


def media_of(uri: str) -> Media:
    """How a file is decoded: plain text by its suffix, everything else by the document decoder, which looks inside."""
    return "text" if uri.lower().endswith(TEXT_SUFFIXES) else "document"


def assets(source: Source) -> Iterator[Asset]:
    """Every asset of a source, URI by URI, sorted by path within each; the same asset named twice comes once.

    Raises UsageError for a URI that does not exist, a table without the named columns or with two rows of one id, and
    OSError if listing fails.
    """
    seen: dict[str, str] = {}
    for uri in source.uri:
        for asset in _of_uri(source, storage.absolute(uri)):
            if asset.media == "row" and seen.get(asset.uri, asset.stamp) != asset.stamp:
                raise UsageError(f"source {uri}: two rows that differ are both {asset.uri}; columns.id must be unique")
            if asset.uri not in seen:
                seen[asset.uri] = asset.stamp
                yield asset


def _of_uri(source: Source, uri: str) -> Iterator[Asset]:
    kind = source.format if source.format != "auto" else _guess(uri)
    if kind == "files":
        return _files(source.name, uri)
    if kind == "beir":
        return _rows(source.name, storage.join(uri, "corpus.jsonl"), "jsonl", BEIR)
    return _rows(source.name, uri, kind, source.columns)


def _guess(uri: str) -> str:
    """A table by its suffix, a Delta or BEIR folder by what lies in it, else files."""
    for suffix, kind in TABLE_SUFFIXES.items():
        if uri.endswith(suffix):
            return kind
    if storage.exists(storage.join(uri, "_delta_log")):
        return "delta"
    return "beir" if storage.exists(storage.join(uri, "corpus.jsonl")) else "files"


def _matches(uri: str) -> list[tuple[str, Info]]:
    """The files that a path, folder or glob names; what is there under the name itself is no glob."""
    if any(mark in uri for mark in "*?[") and not storage.exists(uri):
        root = uri[: min(uri.find(mark) for mark in "*?[" if mark in uri)].rpartition("/")[0] or "/"
        wanted = uri.removeprefix(root).lstrip("/").split("/")
        files = storage.list_files(root, recursive=wanted == ["**"] or len(wanted) > 1)
        found = [item for item in files if _glob(item[0].removeprefix(root).lstrip("/").split("/"), wanted)]
    elif storage.is_folder(uri):
        found = [item for item in storage.list_files(uri) if not _hidden(item[0].removeprefix(uri))]
    else:
        info = storage.info(uri)
        found = [(uri, info)] if info.kind == "file" else []
    if not found and not storage.is_folder(uri):
        raise UsageError(f"source {uri}: nothing there; expected a file, a folder, a glob that matches, or a table")
    return found


def _glob(names: list[str], pattern: list[str]) -> bool:
    """Shell matching, name by name: `**` stands for any folders, and a leading dot must be named."""
    if not pattern or not names:
        return names == pattern or pattern == ["**"]
    shown = not names[0].startswith(".")
    if pattern[0] == "**":
        return _glob(names, pattern[1:]) or (shown and _glob(names[1:], pattern))
    named = shown or pattern[0].startswith(".")
    return named and fnmatch.fnmatchcase(names[0], pattern[0]) and _glob(names[1:], pattern[1:])


def _hidden(path: str) -> bool:
    return any(part.startswith(".") for part in path.split("/"))


def _files(source: str, uri: str) -> Iterator[Asset]:
    for path, info in _matches(uri):
        yield Asset(path, source, info.stamp, media_of(path), info.size, title=path.rpartition("/")[2])


def _rows(source: str, uri: str, kind: str, columns: Columns) -> Iterator[Asset]:
    for number, row in enumerate(_read(uri, kind, columns)):
        title, text = _text(row.get(columns.title or "")), _text(row.get(columns.text))
        meta = {name: _text(row[name]) for name in columns.meta if row.get(name) is not None}
        name = _text(row.get(columns.id)) or str(number)
        stamp = text_digest(title, text, json.dumps(meta, sort_keys=True))
        yield Asset(f"{uri}#{name}", source, stamp, "row", len(text.encode()), title=title, text=text, meta=meta)


def _text(value: Any) -> str:
    """A value as text; half a surrogate pair, which JSON can escape and Arrow cannot hold, becomes `?`."""
    return "" if value is None else str(value).encode("utf-8", "replace").decode()


def _read(uri: str, kind: str, columns: Columns) -> Iterator[dict[str, Any]]:
    if kind == "jsonl":
        for path, _ in _matches(uri):
            yield from _lines(path, columns)
        return
    dataset = _dataset(uri, kind)
    wanted = [columns.id, columns.text, *([columns.title] if columns.title else []), *columns.meta]
    _check_columns(uri, columns, dataset.schema.names)
    for batch in dataset.to_batches(columns=[name for name in wanted if name in dataset.schema.names]):
        yield from batch.to_pylist()


def _check_columns(uri: str, columns: Columns, found: list[str]) -> None:
    wanted = {"text": columns.text, "title": columns.title, **{f"meta {name}": name for name in columns.meta}}
    for role, name in wanted.items():
        if name and name not in found:
            raise UsageError(f"source {uri}: no column {name!r} for {role}; it has {', '.join(found)}")


def _dataset(uri: str, kind: str) -> pads.Dataset:
    try:
        if kind == "delta":
            where, options = storage.delta(uri)
            table = DeltaTable(where, storage_options=options)
            return table.to_pyarrow_dataset(filesystem=storage.delta_folder(table.table_uri))
        paths = [path for path, _ in _matches(uri) if not path.rpartition("/")[2].startswith("_")]  # Spark's _SUCCESS
        fs = storage.filesystem(uri)[0]
        return pads.dataset([storage.filesystem(path)[1] for path in paths], filesystem=fs, format="parquet")
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
    if not isinstance(row, dict) or columns.text not in row:
        raise UsageError(f"{path} line {number}: expected an object with {columns.text!r}, found {line[:60]!r}")
    return row
