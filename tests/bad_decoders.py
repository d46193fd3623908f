"""A decoder for sandboxes whose documents say what becomes of each page: the content is one word a page."""

import contextlib
import ctypes
import os
import time

from smart_jobs.decode.document import Pages
from smart_jobs.records import AssetError


@contextlib.contextmanager
def opened(data, uri):
    """Open `data`; a first word with "open-" in front happens at once. Every page tried adds to the file `uri`."""
    words = data.decode().split()
    if words[0].startswith("open-"):
        happen(words[0].removeprefix("open-"))

    def text(index):
        with open(uri, "a") as log:
            log.write(f"{index} {os.getpid()}\n")
        return happen(words[index])

    yield Pages(len(words), text)


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
    return AssetError("damaged", "said so", "decode") if word == "damaged" else word
