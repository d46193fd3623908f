"""Files on a disk: written whole or not at all, also after a loss of power; read by ranges."""

import contextlib
import errno
import io
import os
import sys
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

BUFFER = 1 << 16
"""Bytes of small writes that are collected; a larger one goes through by itself."""

PIECE = 1 << 22
"""Bytes that a file grows by at a time."""


@dataclass(frozen=True, slots=True)
class Output:
    """A file that is being written, in order, through `sink`."""

    sink: pa.NativeFile
    _written: Path | None = None

    def reopened(self) -> pa.NativeFile:
        """What was written, to be read; nothing can be written after it."""
        if self._written is None:
            return pa.BufferReader(self.sink.getvalue())
        self.sink.close()
        return pa.OSFile(str(self._written))


@contextlib.contextmanager
def open_output(path: str) -> Iterator[Output]:
    """Fill `path`: at the end of the block it holds all of it, after an error what it held before."""
    with _aside(path) as written:
        sink = pa.BufferedOutputStream(pa.PythonFile(_Pieces(written), "w"), BUFFER)
        try:
            yield Output(sink, written)
        finally:
            sink.close()
        _sync(written)
        os.replace(written, path)


class _Pieces(io.RawIOBase):
    """A new file that grows by whole pieces, each on its way to the disk while the next is collected.

    Writes of any other length leave pages of every size behind, which now and then took several times as long.
    """

    def __init__(self, path: Path) -> None:
        self._handle = path.open("xb", buffering=0)
        self._piece, self._filled, self._length = memoryview(bytearray(PIECE)), 0, 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._length + self._filled

    def write(self, data: Any) -> int:
        left = memoryview(data).cast("B")
        size = len(left)
        while left:
            count = min(len(left), PIECE - self._filled)
            self._piece[self._filled : self._filled + count] = left[:count]
            self._filled, left = self._filled + count, left[count:]
            if self._filled == PIECE:
                self._put()
        return size

    def _put(self) -> None:
        start, piece = self._length, self._piece[: self._filled]
        self._filled = 0
        while piece:
            count = self._handle.write(piece)
            self._length, piece = self._length + count, piece[count:]
        if sys.platform == "linux":  # begins to write out what is dirty, and does not wait for it
            os.posix_fadvise(self._handle.fileno(), start, self._length - start, os.POSIX_FADV_DONTNEED)

    def close(self) -> None:
        if not self.closed:
            try:
                self._put()
            finally:
                self._handle.close()
                super().close()


def write_bytes(path: str, data: bytes | memoryview) -> None:
    """Write `data` so that `path` holds all of it or what it held before."""
    with _aside(path) as written:
        _fill(written, data)
        os.replace(written, path)


def create_bytes(path: str, data: bytes) -> bool:
    """Write `data` unless something is there; whether this call did."""
    with _aside(path) as written:
        _fill(written, data)
        try:
            os.link(written, path)
        except FileExistsError:
            return False
    return True


def read_into(path: str, starts: Sequence[int], parts: Sequence[memoryview]) -> None:
    """Fill each part with the bytes from its start on. Raises OSError where the file ends before.

    Linux is told of all of them first, and to read no further: ahead it read 0.3 bytes for every byte asked for.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if sys.platform == "linux":
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)
            for start, part in zip(starts, parts, strict=True):
                os.posix_fadvise(descriptor, start, len(part), os.POSIX_FADV_WILLNEED)
        for start, part in zip(starts, parts, strict=True):
            _read(path, descriptor, start, part)
    finally:
        os.close(descriptor)


def _read(path: str, descriptor: int, start: int, part: memoryview) -> None:
    done = 0
    while done < len(part):
        count = os.preadv(descriptor, [part[done:]], start + done)
        if not count:
            raise OSError(f"{path}: ends at byte {start + done}, expected {start + len(part)} or more")
        done += count


@contextlib.contextmanager
def _aside(path: str) -> Iterator[Path]:
    """A file beside `path`, to be filled and moved there; then the folder, which knows the name, goes to the disk."""
    folder = os.path.dirname(path)
    os.makedirs(folder, exist_ok=True)
    written = Path(f"{path}.{uuid.uuid4().hex}.tmp")
    try:
        yield written
    finally:
        written.unlink(missing_ok=True)
    _sync_folder(folder)


def _fill(written: Path, data: bytes | memoryview) -> None:
    with written.open("xb") as handle:
        handle.write(data)
    _sync(written)


def _sync(written: Path) -> None:
    descriptor = os.open(written, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(folder: str) -> None:
    try:
        _sync(Path(folder))
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EBADF):  # mounts that know no such thing
            raise
