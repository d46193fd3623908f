"""Frames by decord, which reference evaluators read videos with. A frame of it does not say which one it is."""

from collections.abc import Sequence
from io import BytesIO

import decord
import numpy as np

from smart_jobs.decode.timeline import Timeline

decord.logging.set_level(decord.logging.QUIET)

_NEAR = 1e-3
"""Seconds by which its times may differ from the packets': it rounds them."""


class Jumping:
    """A file as decord reads it. `readable` is false where it cannot, or where its frames are not the timeline's."""

    def __init__(self, data: bytes, timeline: Timeline) -> None:
        """One thread, as the other decoder; nothing is decoded yet."""
        try:
            self._reader = decord.VideoReader(BytesIO(data), num_threads=1)
            times = self._reader.get_frame_timestamp(range(len(self._reader)))[:, 0]
        except (decord.DECORDError, RuntimeError, IndexError):
            self.readable = False
            return
        same = len(times) == len(timeline.times)
        self.readable = same and bool(np.allclose(times - times[0], timeline.times, atol=_NEAR))

    def frames(self, wanted: Sequence[int]) -> np.ndarray | None:
        """(n, h, w, 3) uint8 of these frames of the timeline, upright; None where decord fails on the way."""
        try:
            found: np.ndarray = self._reader.get_batch(list(wanted)).asnumpy()
        except (decord.DECORDError, RuntimeError):
            return None
        return found if len(found) == len(wanted) else None
