"""Text models through transformers: BERT-like sentence encoders, and decoder-only ones that pool their last token."""

from collections.abc import Sequence
from pathlib import Path

import torch

from smart_jobs.encode import batched, prompts, readout
from smart_jobs.encode.prompts import Prompt
from smart_jobs.encode.spec import EncoderSpec
from smart_jobs.encode.tokens import Tokenizer
from smart_jobs.records import AssetError, Segment


class TextModel:
    """A text model in evaluation mode. States are the final layer's tokens that are neither padding nor special."""

    def __init__(self, spec: EncoderSpec, folder: Path) -> None:
        """Load the weights of `folder` in the spec's dtype."""
        self.spec = spec
        self.tokenizer = Tokenizer(spec, folder)
        self._device = batched.device()
        self._model = batched.pretrained(folder, spec.dtype)

    def prompt(self, segment: Segment) -> Prompt:
        """Its prompt and its text, truncated to the spec's maximum length. Raises AssetError for a visual."""
        if segment.visuals:
            raise AssetError("unsupported", f"{self.spec.name} reads text only", "encode")
        return prompts.text(self.tokenizer, self.spec.prompt(segment.side, segment.instruction), segment.text)

    def forward(self, batch: Sequence[Prompt]) -> tuple[torch.Tensor, torch.Tensor]:
        """One pass, padded on the right to the longest."""
        padded = batched.stack([row.ids for row in batch], self.tokenizer.pad_id).to(self._device)
        attended = batched.attended(batch).to(self._device)
        hidden = self._model(input_ids=padded, attention_mask=attended.long()).last_hidden_state
        return readout.pool(hidden, attended, self.spec.pooling), hidden
