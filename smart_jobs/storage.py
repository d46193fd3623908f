"""Bytes behind a URI: read, write whole or not at all, create if absent, list. One set of functions for every store."""

import contextlib
import os
import posixpath
import shutil
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import quote, unquote, urlsplit

import fsspec
import pyarrow as pa
from pyarrow import fs as pafs

from smart_jobs import disk, objects, stores
from smart_jobs.disk import Output
from smart_jobs.objects import Info
from smart_jobs.records import JobError, UsageError


def has_scheme(uri: str) -> bool:
    """Whether `uri` names a store, as in `s3://bucket/key`, rather than a local path."""
    return "://" in uri


def absolute(uri: str) -> str:
    """The one spelling of a location: local paths absolute and without `.` and `..`, trailing slashes dropped."""
    uri = uri.removeprefix("file://")
    return uri.rstrip("/") if has_scheme(uri) else os.path.abspath(Path(uri).expanduser())


def join(uri: str, *parts: str) -> str:
    """`uri` followed by `parts`, with single slashes between them."""
    return "/".join([uri.rstrip("/"), *parts])


def beside(folder: str, path: str) -> str:
    """What a table in `folder` names by `path`: a URI or an absolute path as it is, another from the folder on."""
    if has_scheme(path) or path.startswith("/"):
        return absolute(path)
    scheme = scheme_of(folder)
    return scheme + posixpath.normpath(join(folder.removeprefix(scheme), path))


def scheme_of(uri: str) -> str:
    """`s3://` of `s3://bucket/key`; nothing for a local path."""
    return uri.split("://", 1)[0] + "://" if has_scheme(uri) else ""


def filesystem(uri: str) -> tuple[pafs.FileSystem, str]:
    """The filesystem of pyarrow that serves `uri`, and the path on it. Credentials come from the cloud's own chain.

    Raises UsageError for a scheme that nothing installed serves.
    """
    if not has_scheme(uri):
        return pafs.LocalFileSystem(), absolute(uri)
    if stores.serves(uri):
        return stores.filesystem(uri)
    if urlsplit(uri).scheme == "hdfs":
        return cast("tuple[pafs.FileSystem, str]", pafs.FileSystem.from_uri(uri))
    try:
        handler, path = fsspec.core.url_to_fs(uri)
    except (ValueError, ImportError) as error:
        raise UsageError(f"{uri}: {' '.join(str(error).split())}") from error
    return pafs.PyFileSystem(pafs.FSSpecHandler(handler)), path


def info(uri: str) -> Info:
    """Kind, size (bytes) and stamp of whatever `uri` names; its kind is `nothing` where there is nothing."""
    if stores.serves(uri):
        return objects.info(uri)
    fs, path = filesystem(uri)
    return _info(fs.get_file_info(path))


def _info(found: pafs.FileInfo) -> Info:
    if found.type == pafs.FileType.File:
        return Info("file", found.size, f"{found.size}:{found.mtime_ns}", found.mtime)
    return Info("folder" if found.type == pafs.FileType.Directory else "nothing")


def exists(uri: str) -> bool:
    """Whether a file or folder is there."""
    return info(uri).kind != "nothing"


def is_folder(uri: str) -> bool:
    """Whether `uri` names a folder (on an object store: a prefix with something below it)."""
    return info(uri).kind == "folder"


def free(uri: str) -> int | None:
    """Bytes that the disk of a local path has left; None for a store, which has no end."""
    return None if has_scheme(uri) else shutil.disk_usage(absolute(uri)).free


def list_files(uri: str, *, recursive: bool = True) -> Iterator[tuple[str, Info]]:
    """Every file below `uri` as (URI, info), sorted by path. A missing folder has none. Raises OSError otherwise."""
    if stores.serves(uri):
        root = stores.split(uri)[0]
        found = sorted(objects.list_files(uri, recursive), key=lambda item: item[0])
        yield from ((join(root, key), item) for key, item in found)
        return
    fs, path = filesystem(uri)
    prefix = uri[: len(uri) - len(path)] if uri.endswith(path) and has_scheme(uri) else scheme_of(uri)
    selector = pafs.FileSelector(path, recursive=recursive, allow_not_found=True)
    for item in sorted(fs.get_file_info(selector), key=lambda item: item.path):
        if item.type == pafs.FileType.File:
            yield prefix + item.path, _info(item)


def folders(uri: str) -> list[str]:
    """The names of the folders directly in `uri`, sorted; none where it is missing."""
    if stores.serves(uri):
        return sorted(objects.folders(uri))
    fs, path = filesystem(uri)
    found = fs.get_file_info(pafs.FileSelector(path, allow_not_found=True))
    return sorted(item.base_name for item in found if item.type == pafs.FileType.Directory)


@contextlib.contextmanager
def open_input(uri: str) -> Iterator[BinaryIO]:
    """A random-access file for reading."""
    if stores.serves(uri):
        with objects.open_input(uri) as reader:
            yield reader
        return
    fs, path = filesystem(uri)
    with fs.open_input_file(path) as handle:
        yield cast("BinaryIO", handle)


def read_bytes(uri: str) -> bytes:
    """The whole file, from one open handle."""
    if stores.serves(uri):
        return objects.read_bytes(uri)
    with open_input(uri) as handle:
        return handle.read()


def read_into(uri: str, starts: Sequence[int], parts: Sequence[memoryview]) -> None:
    """Fill each part with the bytes of one file from its start on. Raises OSError where the file ends before."""
    if not has_scheme(uri):
        disk.read_into(absolute(uri), starts, parts)
        return
    ends = [start + len(part) for start, part in zip(starts, parts, strict=True)]
    found = objects.read_ranges(uri, starts, ends) if stores.serves(uri) else _ranges(uri, starts, ends)
    for part, end, data in zip(parts, ends, found, strict=True):
        if len(data) != len(part):
            raise OSError(f"{uri}: ends at byte {end - len(part) + len(data)}, expected {end} or more")
        part[:] = data


def _ranges(uri: str, starts: Sequence[int], ends: Sequence[int]) -> Iterator[bytes]:
    with open_input(uri) as handle:
        for start, end in zip(starts, ends, strict=True):
            handle.seek(start)
            yield handle.read(end - start)


@contextlib.contextmanager
def open_output(uri: str) -> Iterator[Output]:
    """Write `uri` piece by piece: at the end of the block it holds all of it, after an error what it held before.

    For a store all is held in memory until then.
    """
    if has_scheme(uri):
        output = Output(pa.BufferOutputStream())
        yield output
        write_bytes(uri, memoryview(output.sink.getvalue()).cast("B"))
    else:
        with disk.open_output(absolute(uri)) as output:
            yield output


def write_bytes(uri: str, data: bytes | memoryview) -> None:
    """Write `data` so that `uri` holds all of it or what it held before, also after a loss of power."""
    if stores.serves(uri):
        objects.write_bytes(uri, data)
    elif has_scheme(uri):
        fs, path = filesystem(uri)
        fs.create_dir(os.path.dirname(path), recursive=True)
        with fs.open_output_stream(path) as handle:
            handle.write(data)
    else:
        disk.write_bytes(absolute(uri), data)


def create_bytes(uri: str, data: bytes) -> bool:
    """Write `data` unless something is there, and say whether this call did: of several at once only one does.

    On an object store a call whose answer was lost on the way says no: read it back where that matters. Raises JobError
    for a store that cannot create if absent.
    """
    if stores.serves(uri):
        return objects.create_bytes(uri, data)
    if has_scheme(uri):
        raise JobError(f"{uri}: {scheme_of(uri)} cannot create a file only if it is absent; put the lake on a disk, "
                       "s3://, gs:// or az://")  # fmt: skip
    return disk.create_bytes(absolute(uri), data)


def delete(uri: str) -> None:
    """Remove a file; one that is gone already is no error."""
    if stores.serves(uri):
        objects.delete(uri)
        return
    fs, path = filesystem(uri)
    with contextlib.suppress(FileNotFoundError):
        fs.delete_file(path)


def require_create(uri: str) -> None:
    """Raise JobError where the store of the folder `uri` would let two writers create the same object.

    Delta's commits rely on it: there the second of two writers would replace the first one's commit without a word.
    """
    probe = join(uri, f"_probe-{uuid.uuid4().hex}")
    if stores.serves(uri):
        try:
            twice = objects.create_bytes(probe, b"1") and objects.create_bytes(probe, b"2")
        finally:
            objects.delete(probe)
        if twice:
            raise JobError(
                f"lake {uri}: this store overwrites where it was asked to create (it ignores `If-None-Match: *`), so "
                "two writers would lose each other's commits; put the lake on a store with conditional put, as AWS S3 "
                "has it, or on a shared disk"
            )


def delete_folder(uri: str) -> None:
    """Remove a folder with all that is in it; one that is gone already, or that never was (a store), is no error."""
    if stores.serves(uri):
        for name, _ in list_files(uri):
            delete(name)
        return
    fs, path = filesystem(uri)
    with contextlib.suppress(FileNotFoundError):
        fs.delete_dir(path)


def delta(uri: str) -> tuple[str, dict[str, str] | None]:
    """Where deltalake finds a table: its URL and the options of its store.

    Raises UsageError for a path at which deltalake 1.6 does not find again what it wrote, or panics.
    """
    wrong = sorted(set("%#?:" if has_scheme(uri) else "%#?[]^|\\") & set(uri.removeprefix(scheme_of(uri))))
    if wrong:
        raise UsageError(f"{uri}: a Delta table cannot lie at a path with {' '.join(wrong)}")
    if stores.serves(uri):
        return stores.quoted(uri), stores.delta_options(uri)
    return (uri if has_scheme(uri) else f"file://{quote(absolute(uri))}"), None


def pauses(uri: str) -> list[float]:
    """Seconds to wait before each further try of a commit: none on a disk, where a second one fails as the first."""
    return objects.pauses() if stores.serves(uri) else []


def of_delta(table_uri: str) -> str:
    """The URI of a Delta table, from the URL that deltalake gives for it."""
    return absolute(unquote(table_uri))


def delta_folder(table_uri: str) -> pafs.FileSystem:
    """The filesystem rooted at a Delta table, by the URL that deltalake gives for it.

    Through deltalake's own filesystem, which calls back into Python from pyarrow's threads, a process that exits soon
    after a read aborts (3 of 6 runs, deltalake 1.6.6, pyarrow 26.0.1).
    """
    fs, path = filesystem(of_delta(table_uri))
    return pafs.SubTreeFileSystem(path, fs)
