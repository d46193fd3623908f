"""Pixels -> the normalised patches that a vision tower takes, as Qwen's processors lay them out."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True, slots=True)
class Patching:
    """How a checkpoint cuts frames: `patch` pixels a side, `merge` patches a side to a token, `temporal` frames."""

    patch: int
    merge: int
    temporal: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @staticmethod
    def of(folder: Path, vision: dict[str, int]) -> "Patching":
        """From `config.json`'s vision part, and the mean and deviation of `preprocessor_config.json`."""
        path = folder / "preprocessor_config.json"
        pixels = json.loads(path.read_text()) if path.is_file() else {}
        mean, std = (tuple(pixels.get(f"image_{name}", (0.5, 0.5, 0.5))) for name in ("mean", "std"))
        return Patching(
            int(vision["patch_size"]),
            int(vision.get("spatial_merge_size", 2)),
            int(vision.get("temporal_patch_size", 2)),
            mean,
            std,
        )

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
        mean = torch.tensor(self.mean, device=pixels.device) * 255
        std = torch.tensor(self.std, device=pixels.device) * 255
        values = (frames.float() - mean) / std
        m, p = self.merge, self.patch
        split = values.view(t, self.temporal, h // m, m, p, w // m, m, p, 3)
        return split.permute(0, 2, 5, 3, 6, 8, 1, 4, 7).reshape(t * h * w, -1)
