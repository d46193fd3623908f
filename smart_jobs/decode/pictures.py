"""A video that comes as pictures, a file each: its frames as a model sees them."""

import contextlib
import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from smart_jobs.decode.image import fitted, read
from smart_jobs.decode.parts import Part, Parts
from smart_jobs.records import AssetError, Visual
from smart_jobs.sampling import LISTED_FPS, Frames, Sampling, listed_sizes

_STEP = "decode"


@contextlib.contextmanager
def opened(data: bytes, frames: Sequence[tuple[str, int]], sampling: Sampling) -> Iterator[Parts]:
    """One part: all of them as one video, or as so many images where the model sees frames as images.

    `frames` are the name and the size in bytes of each picture; they lie one behind the other in `data`. Frame i stands
    at i / `LISTED_FPS` seconds; the last one is repeated to fill up `multiple`, at the seconds that follow.

    Raises `unsupported` where the model takes no video, or the frames differ in size; what `image.opened` raises, with
    the picture's name; all before the part is asked for. MemoryError where there is no more memory.
    """
    if sampling.video is None:
        raise AssetError("unsupported", "this model takes no video", _STEP)
    images = _images(data, frames)
    if sampling.video.as_images:
        visuals = tuple(Visual("image", np.array(fitted(image, sampling.image))[np.newaxis]) for _, image in images)
    else:
        visuals = (_video(images, len(frames), sampling.video),)
    yield Parts(1, lambda _: Part(visuals=visuals))


def _images(data: bytes, frames: Sequence[tuple[str, int]]) -> Iterator[tuple[str, Image.Image]]:
    """Name and picture, one at a time."""
    ends = itertools.accumulate(size for _, size in frames)
    for (name, size), end in zip(frames, ends, strict=True):
        try:
            yield name, read(data[end - size : end])
        except AssetError as error:
            raise AssetError(error.reason, f"{name}: {error.detail}", error.step) from error


def _video(images: Iterator[tuple[str, Image.Image]], count: int, policy: Frames) -> Visual:
    filled = -(-count // policy.multiple) * policy.multiple
    frames: list[np.ndarray] = []
    for name, image in images:
        frames.append(_fitted(image, filled, policy))
        if frames[-1].shape != frames[0].shape:
            (height, width, _), (first_height, first_width, _) = frames[-1].shape, frames[0].shape
            detail = f"{name} comes out {width} x {height}, the first frame of the video {first_width} x {first_height}"
            raise AssetError("unsupported", detail, _STEP)
    frames += frames[-1:] * (filled - count)
    return Visual("video", np.stack(frames), tuple(place / LISTED_FPS for place in range(filled)))


def _fitted(image: Image.Image, count: int, policy: Frames) -> np.ndarray:
    """(h, w, 3) uint8: one of `count` frames as the model sees it."""
    for height, width in listed_sizes(image.height, image.width, count, policy):
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    return np.array(image)
