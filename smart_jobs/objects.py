"""Objects in a cloud's store: whole or by ranges, created if absent, listed. Errors are OSErrors of one line."""

import contextlib
import io
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError

from smart_jobs import stores

BUFFER = 1 << 20
LONG_AGO = datetime.fromtimestamp(0, UTC)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Info:
    """What a URI names. `stamp` changes with the content: size and mtime of a file, size and etag of an object."""

    kind: Literal["file", "folder", "nothing"]
    size: int = 0
    stamp: str = ""
    mtime: datetime = LONG_AGO


def pauses() -> list[float]:
    """Seconds between tries of what object_store sends but once, since the first may have worked: four, about 5 s."""
    return [seconds * random.uniform(0.5, 1.5) for seconds in (0.1, 0.3, 1.0, 3.0)]


@contextlib.contextmanager
def _plainly(uri: str) -> Iterator[None]:
    """Errors as one line that names the URI; what is not there is a FileNotFoundError."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{uri}: not there") from error
    except (BaseError, OSError) as error:
        reason = " ".join(str(error).partition("\n\nDebug source")[0].split())
        kind = PermissionError if isinstance(error, PermissionError) else OSError
        raise kind(f"{uri}: {reason[:400]}") from error


def _of(meta: Any) -> Info:
    size, mtime = int(meta["size"]), meta["last_modified"]
    return Info("file", size, f"{size}:{(meta['e_tag'] or mtime.isoformat()).strip(chr(34))}", mtime)


def info(uri: str) -> Info:
    """An object, else a folder where keys begin with `uri/`, else nothing."""
    store, key = stores.client(uri)
    with _plainly(uri):
        if key:
            with contextlib.suppress(FileNotFoundError):
                return _of(obstore.head(store, key))
        first = next(iter(obstore.list(store, key or None)), [])
    return Info("folder" if first else "nothing")


def list_files(uri: str, recursive: bool) -> Iterator[tuple[str, Info]]:
    """Every object below `uri` as (key, info), in no order. Empty ones that only mark a folder are left out."""
    store, key = stores.client(uri)
    with _plainly(uri):
        for meta in _listed(store, key, recursive):
            if meta["path"] != key and (meta["size"] or _is_there(store, meta["path"])):
                yield meta["path"], _of(meta)


def _listed(store: Any, key: str, recursive: bool) -> Iterator[Any]:
    if not recursive:
        yield from obstore.list_with_delimiter(store, key or None)["objects"]
        return
    for chunk in obstore.list(store, key or None):
        yield from chunk


def _is_there(store: Any, key: str) -> bool:
    """object_store lists `a/`, a marker that consoles make for folders, as `a`, of which no object may be there."""
    with contextlib.suppress(FileNotFoundError):
        obstore.head(store, key)
        return True
    return False


def folders(uri: str) -> list[str]:
    """The names of the folders directly in `uri`."""
    store, key = stores.client(uri)
    with _plainly(uri):
        prefixes = obstore.list_with_delimiter(store, key or None)["common_prefixes"]
    return [prefix.rstrip("/").rpartition("/")[2] for prefix in prefixes]


def read_bytes(uri: str) -> bytes:
    """The whole object, from one request."""
    store, key = stores.client(uri)
    with _plainly(uri):
        return obstore.get(store, key).bytes().to_bytes()


def read_ranges(uri: str, starts: Sequence[int], ends: Sequence[int]) -> list[bytes]:
    """The bytes of each range, ranges that lie close together in one request, requests at the same time."""
    store, key = stores.client(uri)
    with _plainly(uri):
        return [part.to_bytes() for part in obstore.get_ranges(store, key, starts=starts, ends=ends)]


def write_bytes(uri: str, data: bytes | memoryview) -> None:
    """Put the object: all of it, or none."""
    store, key = stores.client(uri)
    _tried(uri, lambda: obstore.put(store, key, data))


def create_bytes(uri: str, data: bytes) -> bool:
    """Put the object unless it is there; whether this call has put it.

    False too where this call put it and the store's answer was lost: read it back where that matters.
    """
    store, key = stores.client(uri)

    def create() -> bool:
        try:
            obstore.put(store, key, data, mode="create", use_multipart=False)
        except AlreadyExistsError:
            return False
        return True

    return _tried(uri, create)


def _tried(uri: str, action: Callable[[], T]) -> T:
    """Do it again after a cut connection, which object_store does only where the method is idempotent."""
    left = pauses()
    while True:
        try:
            with _plainly(uri):
                return action()
        except (FileNotFoundError, PermissionError):
            raise
        except OSError as error:
            if not left or f"after {stores.RETRIES} retries" in str(error):
                raise
            time.sleep(left.pop(0))


def delete(uri: str) -> None:
    """Remove the object; one that is gone already is no error."""
    store, key = stores.client(uri)
    with contextlib.suppress(FileNotFoundError):
        _tried(uri, lambda: obstore.delete(store, key))


def open_input(uri: str) -> io.BufferedReader:
    """The object as a file that can be read from anywhere, a MiB at a time."""
    return io.BufferedReader(_Reader(uri), BUFFER)


class _Reader(io.RawIOBase):
    """Range reads of one object."""

    def __init__(self, uri: str) -> None:
        """Raises FileNotFoundError where it is not there."""
        self._uri, self._at = uri, 0
        self._store, self._key = stores.client(uri)
        with _plainly(uri):
            self._size = int(obstore.head(self._store, self._key)["size"])

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        length = max(0, min(len(view), self._size - self._at))
        if length:
            with _plainly(self._uri):
                view[:length] = memoryview(obstore.get_range(self._store, self._key, start=self._at, length=length))
            self._at += length
        return length
