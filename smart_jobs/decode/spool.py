"""Pixels of an asset that is being decoded, out of memory where they are many."""

import tempfile
from dataclasses import dataclass
from typing import Literal

import numpy as np

from smart_jobs.records import JobError, Visual

IN_MEMORY = 64 * 2**20
"""Bytes up to which pixels stay in memory."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A visual whose pixels are in a spool."""

    kind: Literal["image", "video"]
    shape: tuple[int, ...]
    times: tuple[float, ...]
    start: int


class Spool:
    """A file without a name, which is gone with this object: all parts of an asset are seen before one is handed on."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 - closed with this object
        self._end = 0

    def keep(self, visual: Visual) -> Kept:
        """Put its pixels away. Raises JobError where there is no room for them."""
        kept = Kept(visual.kind, visual.pixels.shape, visual.times, self._end)
        try:
            self._file.seek(self._end)
            self._file.write(visual.pixels.data.cast("B"))
        except OSError as error:
            raise JobError(f"decode: no room for pixels in {tempfile.gettempdir()}: {error}") from error
        self._end += visual.pixels.nbytes
        return kept

    def visual(self, kept: Kept) -> Visual:
        """Read it back."""
        pixels = np.empty(kept.shape, np.uint8)
        self._file.seek(kept.start)
        if self._file.readinto(pixels.data.cast("B")) != pixels.nbytes:
            raise OSError("the spool ended early")
        return Visual(kept.kind, pixels, kept.times)
