"""Videos whose frames say which they are."""

import io
import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np

BITS, SIDE = 12, 16
HEIGHT, WIDTH = 64, BITS * SIDE
"""A frame's number stands in it as vertical stripes, white for 1, the lowest bit on the left."""


def frame(number: int) -> np.ndarray:
    """(h, w, 3) uint8: stripes in the upper half, something that moves in the lower."""
    bits = [255 * (number >> bit & 1) for bit in range(BITS)]
    upper = np.repeat(np.array(bits, np.uint8), SIDE)[None].repeat(HEIGHT // 2, 0)
    lower = np.roll(np.linspace(0, 255, WIDTH).astype(np.uint8), 5 * number)[None].repeat(HEIGHT // 2, 0)
    return np.concatenate([upper, lower])[..., None].repeat(3, 2)


def number(pixels: np.ndarray) -> int:
    """What `frame` was given for this (h, w, 3) picture, which may have been resized and encoded."""
    upper = pixels[: pixels.shape[0] * 3 // 8].mean((0, 2))
    centres = [(2 * bit + 1) * pixels.shape[1] // (2 * BITS) for bit in range(BITS)]
    return sum(int(upper[centre - 2 : centre + 3].mean() > 127) << bit for bit, centre in enumerate(centres))


def video(
    numbers: Iterable[int],
    form: str = "mp4",
    codec: str = "libx264",
    pts: Sequence[int] | None = None,
    rate: int = 10,
    pix_fmt: str = "yuv420p",
    **options: Any,
) -> bytes:
    """A file of these frames, `rate` a second, or at `pts` counted in 1/1000 s.

    Options are the encoder's, and `height` and `width` where it is not to be the frames' own.
    """
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        with tempfile.NamedTemporaryFile() as file:  # a faststart is moved to the front by reading the file again
            _write(file.name, numbers, form, codec, pts, rate, pix_fmt, options)
            return Path(file.name).read_bytes()
    finally:  # as root SVT-AV1 makes the thread that opens it real-time, and with it every process started from there
        os.sched_setscheduler(0, *before)


def _write(name, numbers, form, codec, pts, rate, pix_fmt, options):
    with av.open(name, "w", format=form, options={"movflags": "faststart"} if form == "mp4" else {}) as container:
        stream = container.add_stream(codec, rate=rate if pts is None else 1000)
        stream.height, stream.width = options.pop("height", HEIGHT), options.pop("width", WIDTH)
        stream.pix_fmt = pix_fmt
        stream.bit_rate = 800_000
        stream.codec_context.max_b_frames = options.pop("bf", 0)
        stream.codec_context.gop_size = options.pop("g", 12)
        stream.codec_context.options = {name: str(value) for name, value in options.items()}
        for index, value in enumerate(numbers):
            picture = av.VideoFrame.from_ndarray(frame(value), format="rgb24")
            picture.pts = index if pts is None else pts[index]
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def plain(data: bytes) -> list[tuple[float, np.ndarray]]:
    """Seconds from the first, and (h, w, 3), of each frame that PyAV gives when it decodes all, in its order.

    The times in ascending order: an AVI has none for its frames, and FFmpeg gives them those of their packets.
    """
    with av.open(io.BytesIO(data)) as container:
        found = [
            (picture.pts * picture.time_base, picture.to_ndarray(format="rgb24"))
            for picture in container.decode(video=0)
        ]
    times = sorted(time for time, _ in found)
    return [(float(time - times[0]), pixels) for time, (_, pixels) in zip(times, found, strict=True)]
