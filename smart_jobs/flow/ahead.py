"""One thing ahead: the next is made in a thread while the last one is being handed on."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
_END = object()


def ahead(made: Iterator[T]) -> Iterator[T]:
    """The same things in the same order, each asked for before the one in front of it is let go.

    `made` is only ever used by one thread at a time, not always by the same. What it raises is raised where the thing
    would have come. One that is closed early waits for what is being made.
    """
    with ThreadPoolExecutor(1, "ahead") as pool:
        coming = pool.submit(next, made, _END)
        while (thing := coming.result()) is not _END:
            coming = pool.submit(next, made, _END)
            yield thing  # type: ignore[misc]
