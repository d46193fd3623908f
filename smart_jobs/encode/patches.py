"""Pixels -> the normalised patches that a vision tower takes, as Qwen's processors lay them out."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from smart_jobs.records import JobError


@dataclass(frozen=True, slots=True)
class Patching:
    """How a checkpoint cuts frames: `patch` pixels a side, `merge` patches a side to a token, `temporal` frames."""

    patch: int
    merge: int
    temporal: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @staticmethod
    def of(folder: Path, vision: Any) -> "Patching":
        """From a model's `vision_config`, and what `statistics` finds in its folder."""
        mean, std = statistics(folder)
        return Patching(vision.patch_size, vision.spatial_merge_size, vision.temporal_patch_size, mean, std)

    def grid(self, shape: tuple[int, ...]) -> tuple[int, int, int]:
        """(t, h, w, 3) pixels -> patches in time, height and width. An odd number of frames repeats the last."""
        frames, height, width = shape[:3]
        return -(-frames // self.temporal), height // self.patch, width // self.patch

    def tokens(self, shape: tuple[int, ...]) -> tuple[int, int, int]:
        """The same in the language model's tokens."""
        frames, height, width = self.grid(shape)
        return frames, height // self.merge, width // self.merge

    def cut(self, pixels: torch.Tensor) -> torch.Tensor:
        """(t, h, w, 3) uint8 -> (patches, 3 · temporal · patch²) float32; those that merge lie side by side."""
        t, h, w = self.grid(tuple(pixels.shape))
        missing = t * self.temporal - pixels.shape[0]
        frames = torch.cat([pixels, pixels[-1:].expand(missing, -1, -1, -1)]) if missing else pixels
        values = normalised(frames, self.mean, self.std)
        m, p = self.merge, self.patch
        split = values.view(t, self.temporal, h // m, m, p, w // m, m, p, 3)
        return split.permute(0, 2, 5, 3, 6, 8, 1, 4, 7).reshape(t * h * w, -1)


def statistics(folder: Path) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of each colour, from 0 to 1, as the processor's file says. Raises JobError without one."""
    for name, part in (("preprocessor_config.json", None), ("processor_config.json", "image_processor")):
        if (folder / name).is_file():
            read = json.loads((folder / name).read_text())
            said = read.get(part, {}) if part else read
            if "image_mean" in said and "image_std" in said:
                return tuple(said["image_mean"]), tuple(said["image_std"])
    raise JobError(f"{folder}: no preprocessor_config.json with image_mean and image_std: not an image encoder")


def normalised(pixels: torch.Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> torch.Tensor:
    """(…, 3) uint8 -> float32 with mean 0 and deviation 1, as processors do it in one step."""
    middle, scale = (torch.tensor(values, device=pixels.device) * 255 for values in (mean, std))
    return (pixels.float() - middle) / scale
