"""Which pages, frames and pixels of a medium go into a model.

The values, which are part of an encoder's spec, and all of their arithmetic. Needs neither a decoder nor torch.
"""

from typing import Literal

from pydantic import Field

from smart_jobs.strict import Strict


class Resize(Strict):
    """How an image gets the size at which the model sees it. Sides and areas in pixels.

    `budget`: sides rounded to multiples of `factor`, the aspect kept as nearly as that allows, the area brought within
    `min_pixels` and `max_pixels` (Qwen's smart_resize). `squash`: to `height` x `width`, whatever the aspect. `crop`:
    the shorter side to `height`, then the middle `height` x `width`.
    """

    how: Literal["budget", "squash", "crop"] = "budget"
    factor: int = Field(description="side of the square that becomes one token")
    min_pixels: int = 0
    max_pixels: int = 0
    height: int = 0
    width: int = 0
    filter: Literal["bicubic", "bilinear", "lanczos"] = "bicubic"


class Frames(Strict):
    """Which frames of a video a clip has, and their size. `as_images`: they go in as images, not as a video."""

    fps: float = Field(1.0, gt=0, description="frames a second of the clip, in seconds of its frames' timestamps")
    min_frames: int = 2
    max_frames: int = 64
    multiple: int = Field(2, description="frames are a multiple of this: the model's temporal patch")
    factor: int = Field(32, description="side of the square that becomes one token")
    min_pixels: int = Field(0, description="of a frame")
    max_pixels: int = Field(0, description="of a frame")
    total_pixels: int = Field(0, description="of all frames together")
    clip_seconds: float | None = Field(None, gt=0, description="a segment every so many seconds; null: the whole video")
    as_images: bool = False


class Sampling(Strict):
    """What of a medium goes into a model. `image` are applied one after another; `video` None: it takes none."""

    page_as: Literal["image", "text", "both"] = "image"
    page_dpi: float = Field(200.0, gt=0, description="pages are sized as if they had been scanned at this first")
    image: tuple[Resize, ...]
    video: Frames | None = None
