"""VLM2Vec-V2: no chat template; the last token, whatever it is, is pooled and stays among the states.

The folder holds Qwen2-VL-2B-Instruct with VLM2Vec's LoRA merged into it. As its authors' `process_input_text` writes
prompts: placeholders come first, images before videos, each with a space behind it and no marks around it; then the
instruction; then, where there is a text, a space (be the instruction empty) and the text. As their evaluator uses it: a
text alone stands alone, no space comes between an image's placeholder and a line end, and an instruction for a text may
begin with a placeholder that no image stands behind, a token like others. Where all that leaves nothing it is
`<|endoftext|>`, with which they pad: they pool the last place of an empty row, a padding. Positions count tokens.
"""

from collections.abc import Sequence
from pathlib import Path

import torch

from smart_jobs import masks
from smart_jobs.encode import qwen, readout, visuals
from smart_jobs.encode.prompts import Piece, Prompt
from smart_jobs.encode.spec import EncoderSpec
from smart_jobs.records import Segment, Visual


class VLM2Vec:
    """The model in evaluation mode."""

    def __init__(self, spec: EncoderSpec, folder: Path) -> None:
        """Load the weights of `folder` in the spec's dtype."""
        self.spec = spec
        self._backbone = qwen.load(spec, folder)

    def prompt(self, segment: Segment) -> Prompt:
        """Placeholders, instruction, text."""
        shown = sorted(segment.visuals, key=lambda visual: visual.kind == "video")
        return visuals.within(
            lambda fitted: self._prompt(segment, fitted), shown, self._backbone.patching,
            self.spec.max_length, tail=0,
        )  # fmt: skip

    def _prompt(self, segment: Segment, shown: tuple[Visual, ...]) -> Prompt:
        plain = self._backbone.tokenizer.plain
        instruction = self.spec.prompt(segment.side, segment.instruction)
        space: Piece = (" ", masks.TEMPLATE)
        pieces: list[Piece] = []
        for visual in shown:
            placeholder = (qwen.VIDEO, masks.VIDEO) if visual.kind == "video" else (qwen.IMAGE, masks.IMAGE)
            pieces += [placeholder, space]
        if shown and shown[-1].kind == "image" and instruction.startswith("\n"):
            pieces.pop()
        bare = "" if shown or not instruction.startswith(qwen.IMAGE) else qwen.IMAGE
        pieces += [(bare, masks.INSTRUCTION), (plain(instruction.removeprefix(bare)), masks.INSTRUCTION)]
        if segment.text:
            pieces += [space] if instruction or shown else []
            pieces.append((plain(segment.text), masks.TEXT))
        if not any(text for text, _ in pieces):
            pieces = [(qwen.END, masks.TEMPLATE)]
        return qwen.prompt(self._backbone, pieces, shown)

    def forward(self, batch: Sequence[Prompt]) -> tuple[torch.Tensor, torch.Tensor]:
        """One pass, padded on the right. States are those behind the final norm."""
        hidden, attended = qwen.sequential(self._backbone, batch)
        return readout.pool(hidden, attended, "last"), hidden
