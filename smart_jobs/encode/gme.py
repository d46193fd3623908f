"""GME-Qwen2-VL: the final state of `<|endoftext|>` is pooled; an image and a text in one user turn.

As the authors' `gme_inference.py` runs it: documents always stand under the default instruction, queries under their
own; the string itself ends in `<|endoftext|>`; positions count tokens, images included. One image to a segment: a
video is its middle frame, which the sampling sees to. Where the authors' truncation cuts `<|endoftext|>` off a long
text and pools some word, here the last token stays.
"""

from collections.abc import Sequence
from pathlib import Path

import torch

from smart_jobs import masks
from smart_jobs.encode import qwen, readout, visuals
from smart_jobs.encode.prompts import Prompt
from smart_jobs.encode.spec import EncoderSpec
from smart_jobs.records import Segment, Visual

INSTRUCTION = "You are a helpful assistant."


class GME:
    """The model in evaluation mode."""

    def __init__(self, spec: EncoderSpec, folder: Path) -> None:
        """Load the weights of `folder` in the spec's dtype."""
        self.spec = spec
        self._backbone = qwen.load(spec, folder)

    def prompt(self, segment: Segment) -> Prompt:
        """The chat template around it. Raises AssetError `unsupported` for a video, or more than one image."""
        visuals.check(segment, self.spec.name, videos=False, images=1)
        return visuals.within(
            lambda shown: self._prompt(segment, shown), segment.visuals, self._backbone.patching, self.spec.max_length
        )

    def _prompt(self, segment: Segment, shown: tuple[Visual, ...]) -> Prompt:
        own = segment.instruction if segment.side == "query" else ""
        instruction = self.spec.prompt(segment.side, own) or INSTRUCTION
        user = [piece for visual in shown for piece in qwen.marked(visual)]
        user.append((self._backbone.tokenizer.plain(segment.text), masks.TEXT))
        pieces = [*qwen.chat(self._backbone, instruction, user), (qwen.END, masks.TEMPLATE)]
        return qwen.prompt(self._backbone, pieces, shown)

    def forward(self, batch: Sequence[Prompt]) -> tuple[torch.Tensor, torch.Tensor]:
        """One pass, padded on the right. States are those behind the final norm."""
        hidden, attended = qwen.sequential(self._backbone, batch)
        return readout.pool(hidden, attended, "last"), hidden
