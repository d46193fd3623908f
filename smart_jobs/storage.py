"""Bytes behind a URI: read, write aside and rename, list. Local and any pyarrow or fsspec scheme by one code."""

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import unquote, urlsplit

import fsspec
from pyarrow import fs as pafs

from smart_jobs.records import UsageError

NATIVE = frozenset({"s3", "gs", "gcs", "hdfs", "abfs", "abfss"})


def has_scheme(uri: str) -> bool:
    """Whether `uri` names a store, as in `s3://bucket/key`, rather than a local path."""
    return "://" in uri


def absolute(uri: str) -> str:
    """The one spelling of a location: local paths absolute and without `.` and `..`, trailing slashes dropped."""
    if uri.startswith("file://"):
        uri = urlsplit(uri).path
    return uri.rstrip("/") if has_scheme(uri) else os.path.abspath(Path(uri).expanduser())


def join(uri: str, *parts: str) -> str:
    """`uri` followed by `parts`, with single slashes between them."""
    return "/".join([uri.rstrip("/"), *parts])


def filesystem(uri: str) -> tuple[pafs.FileSystem, str]:
    """The filesystem that serves `uri`, and the path on it. Credentials come from the cloud's own chain.

    Raises UsageError for a scheme that nothing installed serves.
    """
    if not has_scheme(uri):
        return pafs.LocalFileSystem(), absolute(uri)
    if urlsplit(uri).scheme in NATIVE:
        return cast("tuple[pafs.FileSystem, str]", pafs.FileSystem.from_uri(uri))
    try:
        handler, path = fsspec.core.url_to_fs(uri)
    except (ValueError, ImportError) as error:
        raise UsageError(f"{uri}: {' '.join(str(error).split())}") from error
    return pafs.PyFileSystem(pafs.FSSpecHandler(handler)), path


def info(uri: str) -> pafs.FileInfo:
    """Type, size (bytes) and mtime of whatever `uri` names; its type is NotFound where there is nothing."""
    fs, path = filesystem(uri)
    return fs.get_file_info(path)


def exists(uri: str) -> bool:
    """Whether a file or folder is there."""
    return bool(info(uri).type != pafs.FileType.NotFound)


def is_folder(uri: str) -> bool:
    """Whether `uri` names a folder (on an object store: a prefix with something below it)."""
    return bool(info(uri).type == pafs.FileType.Directory)


def list_files(uri: str, *, recursive: bool = True) -> Iterator[tuple[str, pafs.FileInfo]]:
    """Every file below `uri` as (URI, info), sorted by path. A missing folder has none. Raises OSError otherwise."""
    fs, path = filesystem(uri)
    prefix = uri[: len(uri) - len(path)] if uri.endswith(path) and has_scheme(uri) else scheme_of(uri)
    found = fs.get_file_info(pafs.FileSelector(path, recursive=recursive, allow_not_found=True))
    for item in sorted(found, key=lambda item: item.path):
        if item.type == pafs.FileType.File:
            yield prefix + item.path, item


def folders(uri: str) -> list[str]:
    """The names of the folders directly in `uri`, sorted; none where it is missing."""
    fs, path = filesystem(uri)
    found = fs.get_file_info(selector(path))
    return sorted(item.base_name for item in found if item.type == pafs.FileType.Directory)


def scheme_of(uri: str) -> str:
    """`s3://` of `s3://bucket/key`; nothing for a local path."""
    return uri.split("://", 1)[0] + "://" if has_scheme(uri) else ""


@contextlib.contextmanager
def open_input(uri: str) -> Iterator[BinaryIO]:
    """A random-access file for reading."""
    fs, path = filesystem(uri)
    with fs.open_input_file(path) as handle:
        yield cast("BinaryIO", handle)


def read_bytes(uri: str) -> bytes:
    """The whole file, from one open handle."""
    with open_input(uri) as handle:
        return handle.read()


def write_bytes(uri: str, data: bytes) -> None:
    """Write `data` so that `uri` holds all of it or does not exist: aside and renamed (a store's put is atomic)."""
    fs, path = filesystem(uri)
    fs.create_dir(os.path.dirname(path), recursive=True)
    if has_scheme(uri):
        with fs.open_output_stream(path) as handle:
            handle.write(data)
        return
    aside = f"{path}.{uuid.uuid4().hex}.tmp"
    try:
        with fs.open_output_stream(aside) as handle:
            handle.write(data)
        os.replace(aside, path)
    except OSError:
        Path(aside).unlink(missing_ok=True)
        raise


def delete(uri: str) -> None:
    """Remove a file; one that is gone already is no error."""
    fs, path = filesystem(uri)
    with contextlib.suppress(FileNotFoundError):
        fs.delete_file(path)


def delete_folder(uri: str) -> None:
    """Remove a folder with all that is in it; one that is gone already, or that never was (a store), is no error."""
    fs, path = filesystem(uri)
    with contextlib.suppress(FileNotFoundError):
        fs.delete_dir(path)


def selector(path: str) -> pafs.FileSelector:
    """What lies directly in a folder, which may be missing."""
    return pafs.FileSelector(path, allow_not_found=True)


def local_folder(uri: str) -> pafs.FileSystem | None:
    """A `file://` URI or local path as a filesystem rooted there, for Delta tables; None for any other store.

    Through deltalake's own filesystem, which calls back into Python from pyarrow's threads, a process that exits soon
    after a read aborts (3 of 6 runs, deltalake 1.6.6, pyarrow 26.0.1).
    """
    where = urlsplit(uri)
    if where.scheme not in ("", "file"):
        return None
    return pafs.SubTreeFileSystem(unquote(where.path) if where.scheme else uri, pafs.LocalFileSystem())
