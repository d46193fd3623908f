"""Text models through transformers: BERT-like sentence encoders, and decoder-only ones that pool their last token."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import transformers

from smart_jobs import masks
from smart_jobs.encode import batched, readout
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
        model = transformers.AutoModel.from_pretrained(folder, dtype=getattr(torch, spec.dtype))
        self._model = model.eval().to(self._device)
        self._special = np.array(sorted(self.tokenizer.special_ids), np.int64)

    def prompt(self, segment: Segment) -> Prompt:
        """Its prompt and its text, truncated to the spec's maximum length. Raises AssetError for a visual."""
        if segment.visuals:
            raise AssetError("unsupported", f"{self.spec.name} reads text only", "encode")
        before = self.spec.prompt(segment.side, segment.instruction)
        ids, starts = self.tokenizer.ids_and_starts(before + segment.text)
        kinds = np.where(starts < len(before), masks.INSTRUCTION, masks.TEXT).astype(np.uint8)
        kinds[np.isin(ids, self._special)] = masks.SPECIAL
        return Prompt(ids, kinds)

    def forward(self, prompts: Sequence[Prompt]) -> tuple[torch.Tensor, torch.Tensor]:
        """One pass, padded on the right to the longest."""
        padded, attended = batched.pad(prompts, self.tokenizer.pad_id)
        padded, attended = padded.to(self._device), attended.to(self._device)
        hidden = self._model(input_ids=padded, attention_mask=attended.long()).last_hidden_state
        return readout.pool(hidden, attended, self.spec.pooling), hidden
