"""What runs in the decoder's own process: an asset in, its parts out one by one."""

import contextlib
import fcntl
import importlib
import json
import os
import resource
import sys
from multiprocessing.connection import Connection
from typing import Any

from smart_jobs.decode.opening import Opener, Wanted
from smart_jobs.decode.parts import Part, Parts
from smart_jobs.records import AssetError
from smart_jobs.sampling import Sampling

OUT_OF_MEMORY = 71
"""The exit status that says so."""


def main(handle: int, content: int, memory: int, target: str) -> None:
    """Serve the parent at the other end of `handle`, with `memory` bytes, until it closes it.

    `target` names what gives the opener of a medium, as `module:function`. A request says how many bytes of the file
    `content` are the asset, and from which part on it is wanted. The answers: `true` once the decoder is loaded; the
    number of parts; each part. An error of the whole asset ends them. The pixels of a part lie in the file behind the
    asset until the parent says that it has read them: through the pipe they would go 200 kB at a time.
    """
    _end_with_parent()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Counts what can be written to; RLIMIT_AS also counts what libraries merely reserve, which grows with the cores.
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    module, _, name = target.partition(":")
    opener = getattr(importlib.import_module(module), name)
    with Connection(handle) as parent, contextlib.suppress(EOFError):
        while True:
            size, first, *rest = json.loads(parent.recv_bytes())
            wanted = _wanted(*rest)
            opened: Opener = opener(wanted.media)
            _send(parent, True)
            _serve(parent, content, opened, size, wanted, first)


def request(size: int, first: int, wanted: Wanted) -> bytes:
    """Ask for the parts from index `first` on of the asset whose content are the first `size` bytes of the file."""
    sampling = wanted.sampling and wanted.sampling.model_dump(mode="json")
    return json.dumps([size, first, wanted.uri, wanted.media, sampling, wanted.integrity, wanted.frames]).encode()


def _wanted(uri: str, media: Any, sampling: Any, integrity: Any, frames: Any) -> Wanted:
    named = tuple((name, size) for name, size in frames)
    return Wanted(uri, media, sampling and Sampling.model_validate(sampling), integrity, named)


def _read(content: int, size: int) -> bytes:
    with open(content, "rb", closefd=False) as file:  # afresh: a buffer would still hold what was there before
        file.seek(0)
        return file.read(size)


def _end_with_parent() -> None:
    """Let the kernel end this process by SIGIO when stdin closes, whatever it is doing: nothing is ever written there.

    (PR_SET_PDEATHSIG would end it with the thread that started it.)
    """
    fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)


def _serve(parent: Connection, content: int, opened: Opener, size: int, wanted: Wanted, first: int) -> None:
    unread, failed = False, None
    try:
        with opened(_read(content, size), wanted) as parts:
            _send(parent, parts.count)
            for index in range(first, parts.count):
                part = _part(parts, index)
                if unread:
                    parent.recv_bytes()
                unread = _send_part(parent, content, size, part)
    except AssetError as error:
        failed = error
    if unread:
        parent.recv_bytes()
    if failed is not None:
        _send(parent, _plain(failed))


def _part(parts: Parts, index: int) -> Part | AssetError:
    try:
        return parts.part(index)
    except AssetError as error:
        return error


def _send_part(parent: Connection, content: int, size: int, part: Part | AssetError) -> bool:
    """Whether the parent will say that it has read the pixels."""
    if isinstance(part, AssetError):
        _send(parent, _plain(part))
        return False
    heads = []
    if part.visuals:
        with open(content, "r+b", closefd=False) as file:
            file.seek(size)
            for visual in part.visuals:
                written = file.write(visual.pixels.data.cast("B"))
                heads.append([visual.kind, visual.pixels.shape, visual.times, written])
    _send(parent, {"text": part.text, "page": part.page, "start": part.start, "end": part.end, "visuals": heads})
    return bool(heads)


def _plain(error: AssetError) -> list[str]:
    return [error.reason, error.detail, error.step]


def _send(parent: Connection, answer: Any) -> None:
    # JSON: what comes from a broken decoder must not be able to run in the parent, as a pickle could.
    parent.send_bytes(json.dumps(answer).encode())


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
