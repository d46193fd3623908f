"""Files, folders, globs and tables -> assets, in a stable order and without opening what need not be opened."""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from typing import Any

from smart_jobs import cells, listing, storage, tables
from smart_jobs.keys import Columns, Source
from smart_jobs.media import media_of
from smart_jobs.objects import Info
from smart_jobs.records import Asset, Attached, Shown, UsageError, text_digest

TABLE_SUFFIXES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
BEIR = Columns(id="_id", text="text", title="title", image="path", video="path", meta=("path",))
ROWS_AT_ONCE = 1000
"""Rows whose files are asked for their stamps together."""
ASKED_AT_ONCE = 32
"""Objects of a store that are asked for at the same time."""


def assets(source: Source) -> Iterator[Asset]:
    """Every asset of a source, URI by URI, sorted by path within each; the same asset named twice comes once.

    The file that a row names is asked for its stamp, so that a replaced one is seen: on a disk a stat a row, on a store
    a request, of which `ASKED_AT_ONCE` are under way. Images in a column of the table itself share its file's.

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


def _files(source: str, uri: str) -> Iterator[Asset]:
    for path, info in listing.matches(uri):
        yield Asset(path, source, info.stamp, media_of(path), info.size, title=path.rpartition("/")[2])


def _rows(source: str, uri: str, kind: str, columns: Columns) -> Iterator[Asset]:
    folder = _folder(uri) if columns.image or columns.video else ""
    rows = enumerate(tables.rows(uri, kind, columns))
    found = (_row(source, uri, number, row, columns, folder) for number, row in rows)
    while some := list(islice(found, ROWS_AT_ONCE)):
        yield from _stamped(some)


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
    roles: list[tuple[Shown, str | None]] = [("image", columns.image), ("video", columns.video)]
    for media, name in roles:
        path = _text(row.get(name or ""))
        if path and (columns.image != columns.video or media_of(path) == media):
            yield Attached(storage.beside(folder, path), media, "")


def _folder(table: str) -> str:
    """The folder in which paths that a table names begin: its own where it is one, else that of its files."""
    if any(mark in table for mark in "*?[") and not storage.exists(table):
        return listing.root(table)
    return table if storage.is_folder(table) else table.rpartition("/")[0]


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


def _infos(uris: Sequence[str]) -> dict[str, Info]:
    found = {uri: cells.named(uri) for uri in uris}
    files = list(dict.fromkeys(cell.file if cell else uri for uri, cell in found.items()))
    with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
        infos = dict(zip(files, pool.map(_info, files), strict=True))
    return {uri: cells.info(cell, infos[cell.file]) if cell else infos[uri] for uri, cell in found.items()}


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
