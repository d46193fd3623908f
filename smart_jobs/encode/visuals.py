"""What models that read images and videos share: how much fits into the window, and pixels on their way to it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from PIL import Image

from smart_jobs.encode.patches import Patching
from smart_jobs.encode.prompts import Grid, Prompt
from smart_jobs.records import AssetError, Segment, Visual


def check(segment: Segment, name: str, *, videos: bool = True, images: int | None = None, mixed: bool = True) -> None:
    """Whether the encoder `name` takes the segment's visuals: `videos`, so many `images`, text beside one (`mixed`).

    Raises AssetError `unsupported` where it does not.
    """
    kinds = [visual.kind for visual in segment.visuals]
    reason = None
    if "video" in kinds and not videos:
        reason = "reads no videos"
    elif images is not None and len(kinds) > images:
        reason = f"reads {images} image at a time, not {len(kinds)}"
    elif kinds and segment.text and not mixed:
        reason = "reads a text or an image, not both at once"
    if reason is not None:
        raise AssetError("unsupported", f"{name} {reason}", "encode")


def fitting(visuals: Sequence[Visual], patching: Patching, room: int) -> tuple[Visual, ...]:
    """The visuals, at a lower resolution where they would take more than `room` tokens; placeholders are never cut.

    All lose the same share. Raises AssetError `too_long` where even a token a frame is too much.
    """
    fitted = tuple(visuals)
    side = patching.patch * patching.merge
    while (taken := sum(math.prod(patching.tokens(visual.pixels.shape)) for visual in fitted)) > room:
        least = sum(patching.tokens(visual.pixels.shape)[0] for visual in fitted)
        if least > room:
            raise AssetError("too_long", f"{least:,} frames for a window with room for {room:,} tokens", "encode")
        share = min(math.sqrt(room / taken), 0.99)
        fitted = tuple(_smaller(visual, share, side) for visual in fitted)
    return fitted


def _smaller(visual: Visual, share: float, side: int) -> Visual:
    height, width = (max(side, int(n * share) // side * side) for n in visual.pixels.shape[1:3])
    frames = [np.asarray(Image.fromarray(f).resize((width, height), Image.Resampling.BICUBIC)) for f in visual.pixels]
    return replace(visual, pixels=np.stack(frames))


def patches(
    prompts: Sequence[Prompt], kind: str, patching: Patching, device: torch.device
) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """Patches (n, p) float32 of all visuals of a kind, and their grids (v, 3) int64 in patches; None for none.

    Pixels cross to a GPU as bytes, from pinned memory; the arithmetic is done there.
    """
    found = [visual.pixels for prompt in prompts for visual in prompt.visuals if visual.kind == kind]
    if not found:
        return None, None
    cut = [patching.cut(upload(pixels, device)) for pixels in found]
    grids = torch.tensor([patching.grid(pixels.shape) for pixels in found], device=device)
    return torch.cat(cut), grids


def upload(pixels: np.ndarray, device: torch.device) -> torch.Tensor:
    """On the device, by way of pinned memory where that is a GPU."""
    tensor = torch.from_numpy(pixels if pixels.flags.writeable else pixels.copy())
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


def grids(visuals: Sequence[Visual], patching: Patching) -> tuple[Grid, ...]:
    """Of each visual, in the language model's tokens."""
    return tuple(patching.tokens(visual.pixels.shape) for visual in visuals)


def within(
    build: Callable[[tuple[Visual, ...]], Prompt],
    visuals: Sequence[Visual],
    patching: Patching,
    window: int,
    *,
    tail: int = 1,
) -> Prompt:
    """The prompt that `build` makes of the visuals, made smaller until it fits the window; see `fitting`.

    A prompt without visuals is cut so that its last `tail` tokens stay: what is pooled is among them.
    """
    prompt = build(tuple(visuals))
    if len(prompt.ids) <= window:
        return prompt
    if not visuals:
        return cut(prompt, window, tail)
    taken = sum(math.prod(grid) for grid in prompt.grids)
    return build(fitting(visuals, patching, window - (len(prompt.ids) - taken)))


def cut(prompt: Prompt, window: int, tail: int) -> Prompt:
    """The prompt of a text within the window: what is too much is taken out before its last `tail` tokens."""
    over = max(0, len(prompt.ids) - window)
    kept = np.r_[: len(prompt.ids) - tail - over, len(prompt.ids) - tail : len(prompt.ids)]
    return prompt.take(kept)
