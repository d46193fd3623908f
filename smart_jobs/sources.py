"""Files, folders, globs and tables -> assets, in a stable order and without opening what need not be opened."""

import fnmatch
import io
import json
import posixpath
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from typing import Any, cast

import pyarrow as pa
import pyarrow.dataset as pads
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from smart_jobs import storage
from smart_jobs.keys import Columns, Source
from smart_jobs.media import media_of
from smart_jobs.objects import Info
from smart_jobs.records import Asset, Attached, Media, UsageError, text_digest

TABLE_SUFFIXES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
BEIR = Columns(id="_id", text="text", title="title", image="path", video="path", meta=("path",))
ROWS_AT_ONCE = 1000
"""Rows whose files are asked for their stamps together."""
ASKED_AT_ONCE = 32
"""Objects of a store that are asked for at the same time."""


def assets(source: Source) -> Iterator[Asset]:
    """Every asset of a source, URI by URI, sorted by path within each; the same asset named twice comes once.

    The file that a row names is asked for its stamp, so that a replaced one is seen: on a disk a stat a row, on a store
    a request, of which `ASKED_AT_ONCE` are under way.

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
        root = _root(uri)
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


def _root(glob: str) -> str:
    """The folder above the first mark."""
    return glob[: min(glob.find(mark) for mark in "*?[" if mark in glob)].rpartition("/")[0] or "/"


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
    folder = _folder(uri) if columns.image or columns.video else ""
    found = (_row(source, uri, number, row, columns, folder) for number, row in enumerate(_read(uri, kind, columns)))
    while rows := list(islice(found, ROWS_AT_ONCE)):
        yield from _stamped(rows)


def _row(source: str, uri: str, number: int, row: dict[str, Any], columns: Columns, folder: str) -> Asset:
    title, text = _text(row.get(columns.title or "")), _text(row.get(columns.text))
    meta = {name: _text(row[name]) for name in columns.meta if row.get(name) is not None}
    name = _text(row.get(columns.id)) or str(number)
    stamp = text_digest(title, text, json.dumps(meta, sort_keys=True))
    files = tuple(_files_of(row, columns, folder))
    size = len(text.encode())
    return Asset(f"{uri}#{name}", source, stamp, "row", size, title=title, text=text, meta=meta, files=files)


def _files_of(row: dict[str, Any], columns: Columns, folder: str) -> Iterator[Attached]:
    """The files that a row names; one column for both media, as BEIR has it, goes by the suffix."""
    roles: list[tuple[Media, str | None]] = [("image", columns.image), ("video", columns.video)]
    for media, name in roles:
        path = _text(row.get(name or ""))
        if path and (columns.image != columns.video or media_of(path) == media):
            yield Attached(_beside(folder, path), media, "")


def _folder(table: str) -> str:
    """The folder in which paths that a table names begin: its own where it is one, else that of its files."""
    if any(mark in table for mark in "*?[") and not storage.exists(table):
        return _root(table)
    return table if storage.is_folder(table) else table.rpartition("/")[0]


def _beside(folder: str, path: str) -> str:
    if storage.has_scheme(path) or path.startswith("/"):
        return storage.absolute(path)
    scheme = storage.scheme_of(folder)
    return scheme + posixpath.normpath(storage.join(folder.removeprefix(scheme), path))


def _stamped(rows: Sequence[Asset]) -> Iterator[Asset]:
    """The same rows, with what a listing tells of their files; a file that is not there has no stamp and no size."""
    infos = _infos(list(dict.fromkeys(file.uri for row in rows for file in row.files)))
    for row in rows:
        if not row.files:
            yield row
            continue
        files = tuple(replace(file, stamp=infos[file.uri].stamp) for file in row.files)
        parts = [part for file in files for part in (file.uri, file.media, file.stamp)]
        size = row.size + sum(infos[file.uri].size for file in files)
        yield replace(row, files=files, stamp=f"{row.stamp}+{text_digest(*parts)}", size=size)


def _infos(uris: list[str]) -> dict[str, Info]:
    with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
        return dict(zip(uris, pool.map(_info, uris), strict=True))


def _info(uri: str) -> Info:
    try:
        return storage.info(uri)
    except (OSError, UsageError):  # a row may name what cannot be asked for; it fails when it is read
        return Info("nothing")


def said_by(row: Asset) -> str:
    """The part of a row's stamp that the table alone makes: what it says, its files apart."""
    return row.stamp.partition("+")[0]


def _text(value: Any) -> str:
    """A value as text; half a surrogate pair, which JSON can escape and Arrow cannot hold, becomes `?`."""
    return "" if value is None else str(value).encode("utf-8", "replace").decode()


def _read(uri: str, kind: str, columns: Columns) -> Iterator[dict[str, Any]]:
    if kind == "jsonl":
        for path, _ in _matches(uri):
            yield from _lines(path, columns)
        return
    dataset = _dataset(uri, kind)
    named = [columns.title, columns.image, columns.video, *columns.meta]
    wanted = list(dict.fromkeys([columns.id, columns.text, *(name for name in named if name)]))
    _check_columns(uri, columns, dataset.schema.names)
    for batch in dataset.to_batches(columns=[name for name in wanted if name in dataset.schema.names]):
        yield from batch.to_pylist()


def _check_columns(uri: str, columns: Columns, found: list[str]) -> None:
    text = None if columns.image or columns.video else columns.text  # an image needs no caption
    wanted = {"text": text, "title": columns.title, "image": columns.image, "video": columns.video}
    wanted |= {f"meta {name}": name for name in columns.meta}
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
    if not isinstance(row, dict) or not {columns.text, columns.image, columns.video} & set(row):
        raise UsageError(f"{path} line {number}: expected an object with {columns.text!r}, found {line[:60]!r}")
    return row
