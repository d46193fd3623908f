"""Documents decoded in a process of their own, which is watched, killed and started afresh."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import weakref
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import IO

from smart_jobs.decode.child import OUT_OF_MEMORY
from smart_jobs.records import AssetError, JobError
from smart_jobs.settings import Decode

_STEP = "decode"
DOCUMENT = "smart_jobs.decode.document:opened"
DEATHS = 3
"""Decoders that one document may cost; the pages behind are not tried any more."""
RECYCLED = 256
"""Documents after which a decoder makes room for a fresh one: native libraries leak."""
START_SECONDS = 60.0


class _EndedError(Exception):
    """The decoder is gone; `error` is what that means for the page that it was working on."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.error = AssetError(reason, detail, _STEP)


class Sandbox:
    """A decoder that can be killed: one child process, started when first needed and kept between documents.

    It ends with this object and with this process, however that ends. One call at a time.
    """

    def __init__(self, limits: Decode, target: str = DOCUMENT) -> None:
        """`target` opens a document in the child, as `module:function`."""
        self._limits, self._target = limits, target
        self._child: _Child | None = None
        self._served = 0

    def page_texts(self, data: bytes, uri: str) -> list[str | AssetError]:
        """The text of each page, as `document.page_texts` gives it, within the limits.

        A page that takes too long, kills its decoder or wants too much memory gives `timeout`, `worker_died` or
        `out_of_memory` in its place; while the document is being opened, these are raised for the whole of it. So much
        costs a document at most `DEATHS` times: its remaining pages get the same reason untried. Raises JobError where
        no decoder can be started at all.
        """
        pages: list[str | AssetError] = []
        count, deaths = None, 0
        self._served += 1
        while count is None or len(pages) < count:
            child, self._child = self._running(), None  # one that is interrupted in between is not used again
            try:
                count = child.open(data, uri, first=len(pages))
                while len(pages) < count:
                    pages.append(child.page(len(pages) + 1))
                self._child = child
            except _EndedError as ended:
                if count is None:
                    raise ended.error from None
                deaths += 1
                pages.append(ended.error)
                if deaths == DEATHS:
                    pages += [_untried(ended.error)] * (count - len(pages))
            except AssetError:
                self._child = child
                raise
        return pages

    def _running(self) -> "_Child":
        if self._child is not None and self._served <= RECYCLED and self._child.process.poll() is None:
            return self._child
        self._served = 1
        return _Child(self._limits, self._target)


class _Child:
    """The process at work, and this side of its pipe."""

    def __init__(self, limits: Decode, target: str) -> None:
        self._limits = limits
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `_end`
        self._pipe, theirs = Pipe()
        with theirs:
            self.process = _start(theirs.fileno(), int(limits.memory * 2**30), target, self._errors)
        self._end = weakref.finalize(self, _end, self.process, self._pipe, self._errors)
        try:
            self._answer("starting", START_SECONDS)
        except _EndedError as ended:
            raise JobError(f"decode: no decoder can be started: {ended.error.detail}") from None

    def open(self, data: bytes, uri: str, first: int) -> int:
        """The number of pages; `page` gives those from index `first` on. Raises AssetError for the whole document."""
        doing = "opening it" if not first else "opening it again"
        try:
            self._pipe.send_bytes(json.dumps([uri, first]).encode())
            self._pipe.send_bytes(data)
        except OSError:
            raise self._ended(doing, timed_out=False) from None
        count = self._answer(doing, self._limits.seconds)
        if isinstance(count, AssetError):
            raise count
        return int(count)

    def page(self, number: int) -> str | AssetError:
        answer = self._answer(f"page {number}", self._limits.seconds)
        return answer if isinstance(answer, AssetError) else str(answer)

    def _answer(self, doing: str, seconds: float) -> int | str | AssetError:
        try:
            if not self._pipe.poll(seconds):
                raise self._ended(doing, timed_out=True)
            answer = json.loads(self._pipe.recv_bytes())
        except (EOFError, OSError):
            raise self._ended(doing, timed_out=False) from None
        return AssetError(*answer) if isinstance(answer, list) else answer

    def _ended(self, doing: str, *, timed_out: bool) -> _EndedError:
        if timed_out:
            self._end()
            return _EndedError("timeout", f"{doing} was not done after {self._limits.seconds:g} s")
        try:
            status = self.process.wait(self._limits.seconds)
        except subprocess.TimeoutExpired:
            status = None
        said = _last_line(self._errors)
        self._end()
        if status == OUT_OF_MEMORY:
            return _EndedError("out_of_memory", f"{doing} needs more than {self._limits.memory:g} GiB")
        how = signal.Signals(-status).name if status is not None and status < 0 else f"exit status {status}"
        return _EndedError("worker_died", f"{doing} ended the decoder by {how}{said}")


def _start(handle: int, memory: int, target: str, errors: IO[bytes]) -> "subprocess.Popen[bytes]":
    """A fresh interpreter that finds the modules that this one finds. Its stdin stays open for as long as we live."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-P", "-m", "smart_jobs.decode.child", str(handle), str(memory), target]
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=errors,
        pass_fds=[handle],
        env=environment,
    )


def _end(process: "subprocess.Popen[bytes]", pipe: Connection, errors: IO[bytes]) -> None:
    process.kill()
    process.wait()
    if process.stdin is not None:
        process.stdin.close()
    pipe.close()
    errors.close()


def _last_line(errors: IO[bytes]) -> str:
    """What the decoder said last on stderr: the exception, or the C library's reason for aborting."""
    errors.seek(0, os.SEEK_END)
    errors.seek(max(0, errors.tell() - 2000))
    lines = errors.read().decode(errors="replace").strip().splitlines()
    return f": {lines[-1][:300]}" if lines else ""


def _untried(last: AssetError) -> AssetError:
    detail = f"not tried: the document had ended {DEATHS} decoders, the last one because {last.detail}"
    return AssetError(last.reason, detail, _STEP)
