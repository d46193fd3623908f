"""Pixels of an asset that is being decoded, out of memory where they are many."""

import math
import tempfile
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa

from smart_jobs.records import JobError, Visual

AS_THEY_ARE = 64 * 2**20
"""Bytes of an asset's first pixels that are left alone: packing and unpacking a page takes longer than drawing it."""
IN_MEMORY = 64 * 2**20
"""Compressed bytes up to which the others stay in memory."""

_PACKER = pa.Codec("zstd", compression_level=1)
"""Pages are mostly paper: fixture PDFs shrink 38 times, faster than a disk takes them as they are."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A visual that was put away: as it is, or its pixels in a spool, from byte `start` on, `size` bytes."""

    kind: Literal["image", "video"]
    shape: tuple[int, ...]
    times: tuple[float, ...]
    start: int = 0
    size: int = 0
    pixels: np.ndarray | None = None


class Spool:
    """A file without a name, which is gone with this object: all parts of an asset are seen before one is handed on."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 - closed with this object
        self._end = 0
        self._left = AS_THEY_ARE

    def keep(self, visual: Visual) -> Kept:
        """Put its pixels away; nobody writes to them any more. Raises JobError where there is no room for them."""
        if visual.pixels.nbytes <= self._left:
            self._left -= visual.pixels.nbytes
            return Kept(visual.kind, visual.pixels.shape, visual.times, pixels=visual.pixels)
        packed = _PACKER.compress(visual.pixels.data.cast("B"), asbytes=False)
        kept = Kept(visual.kind, visual.pixels.shape, visual.times, self._end, packed.size)
        try:
            self._file.seek(self._end)
            self._file.write(packed)
        except OSError as error:
            raise JobError(f"decode: no room for pixels in {tempfile.gettempdir()}: {error}") from error
        self._end += packed.size
        return kept

    def visual(self, kept: Kept) -> Visual:
        """Read it back; its pixels are not to be written to."""
        if kept.pixels is not None:
            return Visual(kept.kind, kept.pixels, kept.times)
        self._file.seek(kept.start)
        pixels = _PACKER.decompress(self._file.read(kept.size), math.prod(kept.shape))
        return Visual(kept.kind, np.frombuffer(pixels, np.uint8).reshape(kept.shape), kept.times)
