"""LamRA-Ret as SMART's authors trained it on Qwen3-VL-2B-Instruct: the state before `<emb>` is pooled, and kept.

The user asks for one word, the assistant answers `<emb>.`, and the template opens one more turn, as in their
evaluation. They run the language model from embeddings: positions count tokens and DeepStack adds nothing, so a stock
forward of the same weights gives other vectors. It is an "image" where there is one and no words, neither an
instruction's nor a text's; else it is a "sentence", an empty one too.
"""

from collections.abc import Sequence
from pathlib import Path

import torch

from smart_jobs import masks
from smart_jobs.encode import batched, qwen, visuals
from smart_jobs.encode.prompts import Piece, Prompt
from smart_jobs.encode.spec import EncoderSpec
from smart_jobs.records import Segment, Visual

EMB = "<emb>"
ASKED = "\nSummarize above {} in one word: "
ANSWER = f"<|im_end|>\n<|im_start|>assistant\n{EMB}.<|im_end|>\n<|im_start|>assistant\n"


class LamRA:
    """The model in evaluation mode."""

    def __init__(self, spec: EncoderSpec, folder: Path) -> None:
        """Load the weights of `folder` in the spec's dtype. Raises JobError where its tokenizer lacks `<emb>`."""
        self.spec = spec
        self._backbone = qwen.load(spec, folder)
        self._emb = self._backbone.tokenizer.id_of(EMB)
        self._tail = len(self._backbone.tokenizer.spans(ASKED.format("sentence") + ANSWER)[0])

    def prompt(self, segment: Segment) -> Prompt:
        """The two turns. Raises AssetError `unsupported` for a video, `too_long` for text beyond the window."""
        visuals.check(segment, self.spec.name, videos=False)
        return visuals.within(
            lambda shown: self._prompt(segment, shown), segment.visuals, self._backbone.patching, self.spec.max_length,
            tail=self._tail,
        )  # fmt: skip

    def _prompt(self, segment: Segment, shown: tuple[Visual, ...]) -> Prompt:
        said = self.spec.prompt(segment.side, segment.instruction), segment.text
        instruction, text = (self._backbone.tokenizer.plain(words, EMB) for words in said)
        what = "image" if shown and not (instruction or text) else "sentence"
        asked: list[Piece] = [(" ", masks.TEMPLATE), (instruction, masks.INSTRUCTION), ("\n", masks.TEMPLATE)]
        pieces = [
            ("<|im_start|>user\n", masks.TEMPLATE),
            *(piece for visual in shown for piece in qwen.marked(visual)),
            *(asked if instruction else []),
            (text, masks.TEXT),
            (ASKED.format(what) + ANSWER, masks.TEMPLATE),
        ]
        return qwen.prompt(self._backbone, pieces, shown)

    def forward(self, batch: Sequence[Prompt]) -> tuple[torch.Tensor, torch.Tensor]:
        """One pass, padded on the right. States are those behind the final norm."""
        hidden, _ = qwen.sequential(self._backbone, batch)
        ids = batched.stack([row.ids for row in batch], self._backbone.end)
        before = (ids == self._emb).int().argmax(1) - 1
        return hidden[torch.arange(len(batch)), before.to(hidden.device)].float(), hidden
