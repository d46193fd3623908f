"""A decoder for sandboxes whose assets say what becomes of each part: the content is one word a part."""

import contextlib
import ctypes
import os
import time
from types import SimpleNamespace

import numpy as np

from smart_jobs.decode.parts import Part, Parts
from smart_jobs.records import AssetError, Visual


def opener(media):
    """The same for every medium; one that is not there cannot be loaded."""
    if media == "video":
        raise ImportError("no decoder of videos here")
    return opened


def slow_opener(media):
    """Every part takes two seconds."""

    @contextlib.contextmanager
    def slowly(data, wanted):
        with opened(data, wanted) as found:
            yield Parts(found.count, lambda index: time.sleep(2) or found.part(index))

    return slowly


@contextlib.contextmanager
def opened(data, wanted):
    """Open `data`; a first word with "open-" in front happens at once. Every part tried adds to the file `uri`."""
    words = data.decode().split()
    if words[0].startswith("open-"):
        happen(words[0].removeprefix("open-"))

    def part(index):
        with open(wanted.uri, "a") as log:
            log.write(f"{index} {os.getpid()}\n")
        return happen(words[index])

    yield Parts(len(words), part)


def happen(word):
    if word == "segfault":
        ctypes.string_at(0)
    if word == "abort":
        os.abort()
    if word == "hang":
        time.sleep(10**6)
    if word == "spin":
        sum(range(10**15))  # holds the interpreter's lock, as a C library does
    if word == "eat":
        bytearray(2**30)
    if word == "raise":
        raise KeyError("lost")
    if word == "noise":
        os.write(1, b"noise on stdout")
        os.write(2, b"noise on stderr")
    if word == "giveup":
        raise AssetError("damaged", "raised", "decode")
    if word == "damaged":
        return AssetError("damaged", "said so", "decode")
    return Part(word, tuple(visuals(word)), start=0.5, end=1.5)


def visuals(word):
    """Pixels that only the word says, and those that are not what their head says."""
    if word == "late":
        time.sleep(0.1)
    if word in ("image", "late"):
        yield Visual("image", np.arange(2 * 3 * 3, dtype=np.uint8).reshape(1, 2, 3, 3))
    if word == "clip":
        yield Visual("video", np.arange(4 * 2 * 3 * 3, dtype=np.uint8).reshape(4, 2, 3, 3), (0.0, 0.1, 0.25, 3.5))
    if word in HEADS:
        yield Visual("image", SimpleNamespace(shape=HEADS[word], data=memoryview(b"123456")))
    if word == "nokind":
        yield Visual("sound", np.zeros((1, 1, 2, 3), np.uint8))


HEADS = {
    "few": (1, 1, 3, 3),
    "many": (1, 1, 1, 3),
    "grey": (1, 1, 6, 1),
    "flat": (1, 2, 3),
    "minus": (-1, -1, 2, 3),
    "huge": (10**6, 10**6, 10**6, 3),
    "nothing": (0, 1, 1, 3),
}
"""Shapes that six bytes do not have."""
