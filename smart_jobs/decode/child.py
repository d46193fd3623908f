"""What runs in the decoder's own process: a document in, its pages out one by one."""

import contextlib
import fcntl
import importlib
import json
import os
import resource
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from multiprocessing.connection import Connection

from smart_jobs.decode.document import Pages
from smart_jobs.records import AssetError

OUT_OF_MEMORY = 71
"""The exit status that says so."""

Opened = Callable[[bytes, str], AbstractContextManager[Pages]]


def main(handle: int, memory: int, target: str) -> None:
    """Serve the parent at the other end of `handle`, with `memory` bytes, until it closes it.

    `target` names what opens a document, as `module:function`. First comes `true`; then for each request (URI, index of
    the first page that is wanted, content) the number of pages and those pages, or the error of the whole document.
    """
    _end_with_parent()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Counts what can be written to; RLIMIT_AS also counts what libraries merely reserve, which grows with the cores.
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    module, _, name = target.partition(":")
    opened: Opened = getattr(importlib.import_module(module), name)
    with Connection(handle) as parent, contextlib.suppress(EOFError):
        parent.send_bytes(b"true")
        while True:
            uri, first = json.loads(parent.recv_bytes())
            _serve(parent, opened, parent.recv_bytes(), uri, first)


def _end_with_parent() -> None:
    """Let the kernel end this process by SIGIO when stdin closes, whatever it is doing: nothing is ever written there.

    (PR_SET_PDEATHSIG would end it with the thread that started it.)
    """
    fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)


def _serve(parent: Connection, opened: Opened, data: bytes, uri: str, first: int) -> None:
    try:
        with opened(data, uri) as pages:
            _send(parent, pages.count)
            for index in range(first, pages.count):
                _send(parent, pages.text(index))
    except AssetError as error:
        _send(parent, error)


def _send(parent: Connection, answer: int | str | AssetError) -> None:
    # JSON: what comes from a broken decoder must not be able to run in the parent, as a pickle could.
    plain = [answer.reason, answer.detail, answer.step] if isinstance(answer, AssetError) else answer
    parent.send_bytes(json.dumps(plain).encode())


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
