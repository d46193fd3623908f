"""Qwen3-VL-Embedding: the final state of `<|endoftext|>` is pooled; images, videos and text in one user turn.

As the authors' `qwen3_vl_embedding.py` runs it: the instruction is the system turn, on both sides; videos stand before
images before text; an empty item reads "NULL"; the tokenizer's post-processor ends the prompt with `<|endoftext|>`.
"""

import json
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import transformers

from smart_jobs import masks
from smart_jobs.encode import batched, prompts, readout, visuals
from smart_jobs.encode.patches import Patching
from smart_jobs.encode.prompts import Piece, Prompt
from smart_jobs.encode.spec import EncoderSpec
from smart_jobs.encode.tokens import Tokenizer
from smart_jobs.records import Segment, Visual

IMAGE, VIDEO = "<|image_pad|>", "<|video_pad|>"
MARKS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>")
"""What the reference's mask leaves out beside the tokenizer's own special tokens."""


class Qwen3VL:
    """The model in evaluation mode."""

    def __init__(self, spec: EncoderSpec, folder: Path) -> None:
        """Load the weights of `folder` in the spec's dtype."""
        self.spec = spec
        self.tokenizer = Tokenizer(spec, folder)
        config = json.loads((folder / "config.json").read_text())
        self.patching = Patching.of(folder, config["vision_config"])
        self._pads = {self.tokenizer.id_of(IMAGE), self.tokenizer.id_of(VIDEO)}
        marks = {self.tokenizer.id_of(mark) for mark in MARKS}
        self._special = (self.tokenizer.special_ids | marks) - self._pads
        self._end = self.tokenizer.id_of("<|endoftext|>")
        self._device = batched.device()
        model = transformers.AutoModel.from_pretrained(folder, dtype=getattr(torch, spec.dtype))
        self._model = model.eval().to(self._device)

    def prompt(self, segment: Segment) -> Prompt:
        """The chat template around it. Too long, visuals lose resolution; text alone is cut before the last token."""
        ordered = sorted(segment.visuals, key=lambda visual: visual.kind != "video")
        return visuals.within(
            lambda fitted: self._prompt(segment, fitted), ordered, self.patching, self.spec.max_length
        )

    def _prompt(self, segment: Segment, shown: tuple[Visual, ...]) -> Prompt:
        grids = visuals.grids(shown, self.patching)
        pieces = self._pieces(segment, shown)
        counts = [
            count
            for visual, (t, h, w) in zip(shown, grids, strict=True)
            for count in ([h * w] * t if visual.kind == "video" else [t * h * w])
        ]
        ids, kinds = prompts.build(self.tokenizer, pieces, counts, self._special)
        return Prompt(np.append(ids, self._end), np.append(kinds, np.uint8(masks.SPECIAL)), shown, grids)

    def _pieces(self, segment: Segment, shown: Sequence[Visual]) -> list[Piece]:
        instruction = sentence(self.spec.prompt(segment.side, segment.instruction))
        names = self.tokenizer.special_names
        text = prompts.plain(segment.text, names)
        return [
            ("<|im_start|>system\n", masks.TEMPLATE),
            (prompts.plain(instruction, names), masks.INSTRUCTION),
            ("<|im_end|>\n<|im_start|>user\n", masks.TEMPLATE),
            *(piece for visual in shown for piece in self._visual(visual)),
            (text if text or shown else "NULL", masks.TEXT),
            ("<|im_end|>\n<|im_start|>assistant\n", masks.TEMPLATE),
        ]

    def _visual(self, visual: Visual) -> list[Piece]:
        start, end = ("<|vision_start|>", masks.TEMPLATE), ("<|vision_end|>", masks.TEMPLATE)
        if visual.kind == "image":
            return [start, (IMAGE, masks.IMAGE), end]
        return [
            piece
            for seconds in group_times(visual.times, self.patching.temporal)
            for piece in ((f"<{seconds:.1f} seconds>", masks.TIME), start, (VIDEO, masks.VIDEO), end)
        ]

    def forward(self, batch: Sequence[Prompt]) -> tuple[torch.Tensor, torch.Tensor]:
        """One pass, padded on the right. States are those behind the final norm."""
        ids, attended = batched.pad(batch, self._end)
        kinds, _ = batched.pad([Prompt(row.kinds.astype(np.int64), row.kinds) for row in batch], masks.SPECIAL)
        types = (kinds == masks.IMAGE).int() + 2 * (kinds == masks.VIDEO).int()
        images, image_grids = visuals.patches(batch, "image", self.patching, self._device)
        videos, video_grids = visuals.patches(batch, "video", self.patching, self._device)
        attended = attended.to(self._device)
        hidden = self._model(
            input_ids=ids.to(self._device),
            attention_mask=attended.long(),
            pixel_values=images,
            image_grid_thw=image_grids,
            pixel_values_videos=videos,
            video_grid_thw=video_grids,
            mm_token_type_ids=types.to(self._device),
            use_cache=False,
        ).last_hidden_state
        return readout.pool(hidden, attended, "last"), hidden


def sentence(instruction: str) -> str:
    """As the authors' code takes instructions: stripped, and ended by a full stop unless it ends in punctuation."""
    stripped = instruction.strip()
    ended = not stripped or unicodedata.category(stripped[-1]).startswith("P")
    return stripped if ended else f"{stripped}."


def group_times(times: Sequence[float], temporal: int) -> list[float]:
    """The seconds of each group of `temporal` frames: the mean of its first and last; the last frame fills a group."""
    filled = [*times, *[times[-1]] * (-len(times) % temporal)]
    return [(filled[i] + filled[i + temporal - 1]) / 2 for i in range(0, len(filled), temporal)]
