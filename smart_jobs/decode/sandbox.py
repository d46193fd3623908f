"""Documents, images and videos decoded in a process of its own, which is watched, killed and started afresh."""

import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import IO, Any

import numpy as np

from smart_jobs.decode import child
from smart_jobs.decode.opening import Wanted
from smart_jobs.decode.parts import Part
from smart_jobs.keys import Decode
from smart_jobs.records import AssetError, JobError, Visual

_STEP = "decode"
OPENER = "smart_jobs.decode.opening:opener"
DEATHS = 3
"""Decoders that one asset may cost; the parts behind are not tried any more."""
RECYCLED = 256
"""Assets after which a decoder makes room for a fresh one: native libraries leak."""
START_SECONDS = 60.0
PART = {"document": "page", "image": "image", "video": "clip", "frame": "video"}


class _EndedError(Exception):
    """The decoder is gone; `error` is what that means for the page that it was working on."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.error = AssetError(reason, detail, _STEP)


class Sandbox:
    """A decoder that can be killed: one child process, started when first needed and kept between assets.

    It ends with this object and with this process, however that ends. One asset at a time.
    """

    def __init__(self, limits: Decode, target: str = OPENER) -> None:
        """`target` gives the opener of a medium in the child, as `module:function`; see `opening.opener`."""
        self._limits, self._target = limits, target
        self._child: _Child | None = None
        self._served = 0

    def parts(self, data: bytes, wanted: Wanted, first: int = 0) -> Iterator[Part | AssetError]:
        """Each part of an asset from index `first` on, as its decoder gives it, within the limits, as it comes.

        A part that takes too long, kills its decoder or wants too much memory gives `timeout`, `worker_died` or
        `out_of_memory` in its place; while the asset is being opened, these are raised for the whole of it. So much
        costs an asset at most `DEATHS` times: its remaining parts get the same reason untried. Raises AssetError for
        the whole asset, as the decoder does, and JobError where no decoder can be started at all.

        A page or an image has `decode.seconds`, a clip `decode.video_seconds`, and as much has opening the asset; a
        video that comes as pictures has `decode.video_seconds` for all of them.
        """
        count, done, deaths = None, first, 0
        self._served += 1
        while count is None or done < count:
            running, self._child = self._running(), None  # one that is interrupted in between is not used again
            try:
                count = running.open(data, done, wanted)
                while done < count:
                    yield running.part(f"{PART.get(wanted.media, 'part')} {done + 1}")
                    done += 1
                running.hold(b"", wanted.uri)
                self._child = running
            except _EndedError as ended:
                if count is None:
                    raise ended.error from None
                deaths += 1
                yield ended.error
                done += 1
                if deaths == DEATHS:
                    yield from [_untried(ended.error)] * (count - done)
                    break
            except AssetError:
                running.hold(b"", wanted.uri)
                self._child = running
                raise

    def _running(self) -> "_Child":
        if self._child is not None and self._served <= RECYCLED and self._child.process.poll() is None:
            return self._child
        self._served = 1
        return _Child(self._limits, self._target)


class _Child:
    """The process at work, and this side of its pipe."""

    def __init__(self, limits: Decode, target: str) -> None:
        self._limits, self._memory = limits, int(limits.memory * 2**30)
        self._size, self._seconds = 0, limits.seconds
        self._content, self._errors = (tempfile.TemporaryFile() for _ in range(2))  # noqa: SIM115 - `_end` closes them
        self._pipe, theirs = Pipe()
        with theirs:
            self.process = _start(theirs.fileno(), self._content.fileno(), self._memory, target, self._errors)
        self._end = weakref.finalize(self, _end, self.process, self._pipe, self._content, self._errors)

    def open(self, data: bytes, first: int, wanted: Wanted) -> int:
        """The number of parts; `part` gives those from index `first` on. Raises AssetError for the whole asset."""
        self.hold(data, wanted.uri)
        self._size = len(data)
        moving = wanted.media in ("video", "frame")
        self._seconds = self._limits.video_seconds if moving else self._limits.seconds
        try:
            self._ask(child.request(len(data), first, wanted))
            self._answer("loading it", START_SECONDS)
        except _EndedError as ended:
            raise JobError(f"decode: no decoder can be started: {ended.error.detail}") from None
        count = self._answer("opening it" if not first else "opening it again", self._seconds)
        if isinstance(count, AssetError):
            raise count
        if not isinstance(count, int):
            raise self._senseless("opening it", ValueError(f"{count!r} parts"))
        return count

    def part(self, doing: str) -> Part | AssetError:
        """The next part; `doing` is what it is called."""
        answer = self._answer(doing, self._seconds)
        if isinstance(answer, AssetError):
            return answer
        try:
            part = Part(**{**answer, "visuals": tuple(self._visuals(answer["visuals"]))})
        except (ValueError, TypeError, KeyError) as error:
            raise self._senseless(doing, error) from None
        if part.visuals:
            with contextlib.suppress(OSError):  # a decoder that is gone is noticed at the next part
                self._pipe.send_bytes(b"read")
        return part

    def hold(self, data: bytes, uri: str) -> None:
        """Put the content where the process finds it, and no other: a file without a name. Only while it is idle."""
        try:
            self._content.seek(0)
            self._content.truncate()
            self._content.write(data)
            self._content.flush()
        except OSError as error:
            raise JobError(f"decode: no room for {uri} in {tempfile.gettempdir()}: {error}") from error

    def _visuals(self, heads: Any) -> Iterator[Visual]:
        """The visuals of these heads, one behind the other. Raises ValueError where head and bytes do not fit."""
        at = self._size
        for kind, shape, times, written in heads:
            frames, height, width, colours = shape
            if kind not in ("image", "video") or colours != 3 or min(frames, height, width) < 1:
                raise ValueError(f"{kind} of shape {shape}")
            if math.prod(shape) != written or written > self._memory:
                raise ValueError(f"{written} bytes of shape {shape}")
            pixels = np.empty(shape, np.uint8)
            _read_into(self._content.fileno(), pixels.data.cast("B"), at)
            at += written
            yield Visual(kind, pixels, tuple(times))

    def _ask(self, request: bytes) -> None:
        try:
            self._pipe.send_bytes(request)
        except OSError:
            raise self._ended("loading it") from None

    def _answer(self, doing: str, seconds: float) -> Any:
        data = self._receive(doing, seconds, self._memory)
        try:
            answer = json.loads(data)
            return AssetError(*answer) if isinstance(answer, list) else answer
        except (ValueError, TypeError) as error:
            raise self._senseless(doing, error) from None

    def _receive(self, doing: str, seconds: float, most: int) -> bytes:
        try:
            if not self._pipe.poll(seconds):
                raise self._ended(doing, seconds)
            return self._pipe.recv_bytes(most)
        except (EOFError, OSError):
            raise self._ended(doing) from None

    def _senseless(self, doing: str, error: Exception) -> _EndedError:
        self._end()
        return _EndedError("worker_died", f"{doing} made the decoder say what makes no sense: {error}")

    def _ended(self, doing: str, seconds: float | None = None) -> _EndedError:
        """What its end means: it was killed because `seconds` were over, else it ended by itself."""
        if seconds is not None:
            self._end()
            return _EndedError("timeout", f"{doing} was not done after {seconds:g} s")
        try:
            status = self.process.wait(self._limits.seconds)
        except subprocess.TimeoutExpired:
            status = None
        said = _last_line(self._errors)
        self._end()
        if status == child.OUT_OF_MEMORY:
            return _EndedError("out_of_memory", f"{doing} needs more than {self._limits.memory:g} GiB")
        how = signal.Signals(-status).name if status is not None and status < 0 else f"exit status {status}"
        return _EndedError("worker_died", f"{doing} ended the decoder by {how}{said}")


def _start(handle: int, content: int, memory: int, target: str, errors: IO[bytes]) -> "subprocess.Popen[bytes]":
    """A fresh interpreter that finds the modules that this one finds. Its stdin stays open for as long as we live."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OPENBLAS_NUM_THREADS": "1"}
    numbers = [str(number) for number in (handle, content, memory)]
    command = [sys.executable, "-P", "-m", "smart_jobs.decode.child", *numbers, target]
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=errors,
        pass_fds=[handle, content],
        env=environment,
    )


def _end(process: "subprocess.Popen[bytes]", pipe: Connection, *files: IO[bytes]) -> None:
    process.kill()
    process.wait()
    if process.stdin is not None:
        process.stdin.close()
    pipe.close()
    for file in files:
        file.close()


def _read_into(file: int, view: memoryview, at: int) -> None:
    while view:
        count = os.preadv(file, [view], at)
        if count == 0:
            raise ValueError(f"{len(view)} bytes are missing")
        view, at = view[count:], at + count


def _last_line(errors: IO[bytes]) -> str:
    """What the decoder said last on stderr: the exception, or the C library's reason for aborting."""
    errors.seek(0, os.SEEK_END)
    errors.seek(max(0, errors.tell() - 2000))
    lines = errors.read().decode(errors="replace").strip().splitlines()
    return f": {lines[-1][:300]}" if lines else ""


def _untried(last: AssetError) -> AssetError:
    detail = f"not tried: it had ended {DEATHS} decoders, the last one because {last.detail}"
    return AssetError(last.reason, detail, _STEP)
