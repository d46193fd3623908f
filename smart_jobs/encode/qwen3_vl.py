"""Qwen3-VL-Embedding: the final state of `<|endoftext|>` is pooled; images, videos and text in one user turn.

As the authors' `qwen3_vl_embedding.py` runs it: the instruction is the system turn, on both sides; videos stand before
images before text, an empty text is an empty turn; the tokenizer's post-processor ends the prompt with `<|endoftext|>`.
(Their "NULL" stands for an item without so much as an empty text, which makes no segment here.)
"""

import unicodedata
from collections.abc import Sequence
from pathlib import Path

import torch

from smart_jobs import masks
from smart_jobs.encode import prompts, qwen, readout, visuals
from smart_jobs.encode.prompts import Piece, Prompt
from smart_jobs.encode.spec import EncoderSpec
from smart_jobs.records import Segment, Visual

INSTRUCTION = "Represent the user's input."


class Qwen3VL:
    """The model in evaluation mode."""

    def __init__(self, spec: EncoderSpec, folder: Path) -> None:
        """Load the weights of `folder` in the spec's dtype."""
        self.spec = spec
        self._backbone = qwen.load(spec, folder)

    def prompt(self, segment: Segment) -> Prompt:
        """The chat template around it. Too long, visuals lose resolution; text alone is cut before the last token."""
        shown = qwen.ordered(segment)
        return visuals.within(
            lambda fitted: self._prompt(segment, fitted), shown, self._backbone.patching, self.spec.max_length
        )

    def _prompt(self, segment: Segment, shown: tuple[Visual, ...]) -> Prompt:
        instruction = sentence(self.spec.prompt(segment.side, segment.instruction)) or INSTRUCTION
        user = [piece for visual in shown for piece in self._visual(visual)]
        user.append((self._backbone.tokenizer.plain(segment.text), masks.TEXT))
        made = qwen.prompt(self._backbone, qwen.chat(self._backbone, instruction, user), shown, grouped=True)
        return prompts.appended(made, self._backbone.end)

    def _visual(self, visual: Visual) -> list[Piece]:
        if visual.kind == "image":
            return qwen.marked(visual)
        times = group_times(visual.times, self._backbone.patching.temporal)
        return [piece for at in times for piece in ((f"<{at:.1f} seconds>", masks.TIME), *qwen.marked(visual))]

    def forward(self, batch: Sequence[Prompt]) -> tuple[torch.Tensor, torch.Tensor]:
        """One pass, padded on the right. States are those behind the final norm."""
        hidden, attended = qwen.native(self._backbone, batch)
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
