"""What models share that see every image as one square of pixels: pixels on their way, two towers in one pass."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from smart_jobs import masks
from smart_jobs.encode import patches, visuals
from smart_jobs.encode.prompts import Prompt
from smart_jobs.encode.spec import EncoderSpec
from smart_jobs.records import JobError, Segment

Tower = Callable[[Sequence[Prompt]], tuple[torch.Tensor, torch.Tensor]]
"""Prompts -> pooled (b, d) and states (b, t, d)."""


def side(spec: EncoderSpec, image_size: int, patch_size: int) -> int:
    """Patches a side. Raises JobError where the spec's sampling gives images of another size than the model takes."""
    last = spec.sampling.image[-1] if spec.sampling is not None else None
    if last is not None and {last.height, last.width} != {image_size}:
        given = f"{last.height} x {last.width}" if last.how != "budget" else "any size"
        raise JobError(
            f"encoder {spec.name}: its sampling gives images of {given}, the model takes {image_size} a side"
        )
    return image_size // patch_size


def prompt(segment: Segment, patches_a_side: int, *, first: tuple[int, ...] = ()) -> Prompt:
    """The prompt of an image that no text stands beside: kinds `first` (a class token), then its patches."""
    kinds = np.array([*first, *[masks.IMAGE] * patches_a_side**2], np.uint8)
    ids, spans = np.zeros(len(kinds), np.int64), np.zeros((len(kinds), 2), np.int64)
    return Prompt(ids, kinds, spans, visuals=segment.visuals, grids=((1, patches_a_side, patches_a_side),))


def images(
    batch: Sequence[Prompt], statistics: tuple[tuple[float, ...], tuple[float, ...]], device: torch.device
) -> torch.Tensor | None:
    """(v, 3, s, s) float32 of all images in the batch, in their order; None for none."""
    found = [visual.pixels for row in batch for visual in row.visuals]
    if not found:
        return None
    pixels = torch.cat([visuals.upload(each, device) for each in found])
    return patches.normalised(pixels, *statistics).permute(0, 3, 1, 2).contiguous()


def towers(batch: Sequence[Prompt], of_images: Tower, of_texts: Tower) -> tuple[torch.Tensor, torch.Tensor]:
    """Pooled (b, d) and states (b, t, d) in the batch's order, from one pass of each tower that has something to do."""
    shown = [i for i, row in enumerate(batch) if row.visuals]
    said = [i for i, row in enumerate(batch) if not row.visuals]
    passes = [(places, tower([batch[i] for i in places])) for places, tower in ((shown, of_images), (said, of_texts))
              if places]  # fmt: skip
    places = [i for found, _ in passes for i in found]
    order = torch.tensor(sorted(range(len(places)), key=places.__getitem__), device=passes[0][1][0].device)
    rows = [row for _, (_, states) in passes for row in states]
    padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    return torch.cat([pooled for _, (pooled, _) in passes])[order], padded[order]
