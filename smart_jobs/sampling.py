"""Which pages, frames and pixels of a medium go into a model.

The values, which are part of an encoder's spec, and all of their arithmetic. Needs neither a decoder nor torch. Sizes
are (height, width) in pixels, times seconds from the first frame that is shown.
"""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from smart_jobs.records import AssetError
from smart_jobs.strict import Strict

LISTED_FPS = 2.0
"""Frames a second of a video that comes as pictures: they say no times of their own."""

_POINTS = 72
_EXTREME = 200


class Resize(Strict):
    """How an image gets the size at which the model sees it. Sides and areas in pixels.

    `budget`: sides rounded to multiples of `factor`, the aspect kept as nearly as that allows, the area brought within
    `min_pixels` and `max_pixels` (Qwen's smart_resize). `squash`: to `height` x `width`, whatever the aspect. `crop`:
    the shorter side to `height`, then the middle `height` x `width`.
    """

    how: Literal["budget", "squash", "crop"] = "budget"
    factor: int = Field(description="side of the square that becomes one token")
    min_pixels: int = 0
    max_pixels: int = Field(0, description="0: no limit")
    height: int = 0
    width: int = 0
    filter: Literal["bicubic", "bilinear", "lanczos"] = "bicubic"


class Frames(Strict):
    """Which frames of a video a clip has, and their size.

    `as_images`: they go in as images, not as a video. Then `Sampling.image` says their size, and any number will do.
    """

    fps: float = Field(1.0, gt=0, description="frames a second of the clip, in seconds of its frames' timestamps")
    min_frames: int = 2
    max_frames: int = 64
    multiple: int = Field(2, description="frames are a multiple of this: the model's temporal patch")
    factor: int = Field(32, description="side of the square that becomes one token")
    min_pixels: int = Field(0, description="of a frame")
    max_pixels: int = Field(0, description="of a frame; 0: no limit")
    total_pixels: int = Field(0, description="of all frames together; 0: no limit")
    clip_seconds: float | None = Field(None, gt=0, description="a segment every so many seconds; null: the whole video")
    as_images: bool = False
    decoder: Literal["pyav", "decord"] = Field(
        "pyav", description="decord: the pixels that reference evaluators see; pyav where it cannot read a file"
    )


class Sampling(Strict):
    """What of a medium goes into a model. `image` are applied one after another; `video` None: it takes none."""

    page_as: Literal["image", "text", "both"] = "image"
    page_dpi: float = Field(200.0, gt=0, description="pages are sized as if they had been scanned at this first")
    image: tuple[Resize, ...]
    video: Frames | None = None


def image_size(height: int, width: int, resizes: Sequence[Resize]) -> tuple[int, int]:
    """The size at which a model sees an image of this size. Raises AssetError `unsupported` for too thin a strip."""
    for resize in resizes:
        if resize.how == "budget":
            height, width = smart_resize(height, width, resize.factor, resize.min_pixels, resize.max_pixels)
        else:
            height, width = resize.height, resize.width
    return height, width


def page_size(width_pt: float, height_pt: float, sampling: Sampling) -> tuple[int, int]:
    """The size at which a model sees a page of so many points (1/72 inch); raises as `image_size` does.

    It is the size of the page scanned at `page_dpi`, as an image.
    """
    height, width = (max(1, round(side * sampling.page_dpi / _POINTS)) for side in (height_pt, width_pt))
    return image_size(height, width, sampling.image)


def smart_resize(height: int, width: int, factor: int, min_pixels: float, max_pixels: float) -> tuple[int, int]:
    """Qwen's rule: sides that are multiples of `factor`, the area within the bounds, the aspect as near as may be.

    Raises AssetError `unsupported` where one side is more than 200 times the other. A side is never less than `factor`,
    as in qwen_vl_utils before an image is made smaller or larger and as in transformers after it was made smaller.
    """
    if max(height, width) > _EXTREME * min(height, width):
        raise AssetError("unsupported", f"{width} x {height} pixels: too thin a strip for this model", "decode")
    rounded = [max(factor, round(side / factor) * factor) for side in (height, width)]
    area = math.prod(rounded)
    if area > (max_pixels or math.inf):
        scale = math.sqrt(height * width / max_pixels)
        rounded = [max(factor, math.floor(side / scale / factor) * factor) for side in (height, width)]
    elif area < min_pixels:
        scale = math.sqrt(min_pixels / (height * width))
        rounded = [math.ceil(side * scale / factor) * factor for side in (height, width)]
    return rounded[0], rounded[1]


def clips(duration: float, frames: Frames) -> list[tuple[float, float]]:
    """Start and end of each segment of a video that lasts `duration`: they follow each other without a gap.

    Each begins at a multiple of `clip_seconds`. What is left at the end is a segment of its own from half that length
    on; a shorter rest belongs to the segment before it.
    """
    if frames.clip_seconds is None:
        return [(0.0, duration)]
    count = max(1, math.floor(duration / frames.clip_seconds + 0.5))
    starts = [index * frames.clip_seconds for index in range(count)]
    return list(zip(starts, [*starts[1:], duration], strict=True))


def frame_count(seconds: float, frames: Frames) -> int:
    """How many frames a clip of this length gets: `fps` of them a second, within the bounds, a multiple."""
    multiple = 1 if frames.as_images else frames.multiple
    least, most = -(-frames.min_frames // multiple) * multiple, frames.max_frames // multiple * multiple
    wanted = math.floor(min(max(seconds * frames.fps, least), most))
    return max(multiple, wanted // multiple * multiple)


def frame_times(first: float, last: float, count: int) -> list[float]:
    """`count` times spread evenly from one frame's time to another's, both included; one alone is in the middle."""
    if count == 1:
        return [(first + last) / 2]
    return [first + (last - first) * index / (count - 1) for index in range(count - 1)] + [last]


def frame_size(height: int, width: int, count: int, frames: Frames) -> tuple[int, int]:
    """The size of each of `count` frames of a video: Qwen's rule. Raises as `smart_resize` does.

    A frame has at most `max_pixels`, and its share of `total_pixels` where that is less, but always 1.05 times
    `min_pixels`. Frames that go in together (`multiple`) share one frame's tokens, and so its pixels.
    """
    share = (frames.total_pixels or math.inf) / count * frames.multiple
    most = max(min(frames.max_pixels or math.inf, share), int(frames.min_pixels * 1.05))
    return smart_resize(height, width, frames.factor, frames.min_pixels, most)


def listed(count: int, frames: Frames) -> list[int]:
    """Which of a video's `count` pictures a model sees, by their places: all, or `max_frames` of them spread evenly.

    As reference evaluators do: places are cut off to whole numbers; a model that sees one image sees the middle one.
    """
    if frames.as_images and frames.max_frames == 1:
        return [count // 2]
    places: list[int] = np.linspace(0, count - 1, min(count, frames.max_frames), dtype=int).tolist()
    return places


def listed_sizes(height: int, width: int, count: int, frames: Frames) -> list[tuple[int, int]]:
    """The sizes to which each of a video's `count` pictures is brought, one after another. Raises as `smart_resize`.

    Qwen's utilities, whose budget `total_pixels` is, round its sides to multiples of twice the factor first: there they
    take the factor for a patch. A model without that budget has the picture at its final size at once.
    """
    if not frames.total_pixels:
        return [frame_size(height, width, count, frames)]
    side = 2 * frames.factor
    rounded = smart_resize(height, width, side, 4 * side**2, 16384 * side**2)
    return [rounded, frame_size(*rounded, count, frames)]


def tokens(height: int, width: int, factor: int, count: int = 1, multiple: int = 1) -> int:
    """How many tokens a model makes of `count` frames of this size, or of one image."""
    return -(-count // multiple) * (height // factor) * (width // factor)
