"""Text models through transformers: any BERT-like sentence encoder."""

from collections.abc import Sequence
from pathlib import Path

import torch
import transformers

from smart_jobs.encode import packing, readout
from smart_jobs.encode.spec import EncoderSpec
from smart_jobs.encode.tokens import Tokenizer
from smart_jobs.records import AssetError, Embedding, Segment


class TextEncoder:
    """A text model in evaluation mode. States are the final layer's tokens that are neither padding nor special."""

    def __init__(self, spec: EncoderSpec, folder: Path, threads: int, batch_tokens: int) -> None:
        """Load the weights of `folder` in the spec's dtype; `batch_tokens` bounds the padded tokens of a pass."""
        torch.set_num_threads(threads)
        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        self.spec = spec
        self.tokenizer = Tokenizer(spec, folder)
        self._batch_tokens = batch_tokens
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        model = transformers.AutoModel.from_pretrained(folder, dtype=getattr(torch, spec.dtype))
        self._model = model.eval().to(self._device)
        self._special = torch.tensor(sorted(self.tokenizer.special_ids), device=self._device)

    def encode(self, segments: Sequence[Segment]) -> list[Embedding | AssetError]:
        """One result for each segment, in order. Its text is truncated to the spec's maximum length."""
        texts = [self.spec.prompt(item.side, item.instruction) + item.text for item in segments]
        ids = self.tokenizer.ids(texts)
        results: list[Embedding | AssetError | None] = [None] * len(segments)
        for batch in packing.batches([len(row) for row in ids], self._batch_tokens):
            for i, result in zip(batch, self.forward([ids[i] for i in batch]), strict=True):
                results[i] = result
        return [result for result in results if result is not None]

    @torch.inference_mode()
    def forward(self, ids: Sequence[Sequence[int]]) -> list[Embedding | AssetError]:
        """One pass over a batch of token ids, padded on the right to the longest."""
        longest = max(len(row) for row in ids)
        padded = torch.full((len(ids), longest), self.tokenizer.pad_id)
        attended = torch.zeros((len(ids), longest), dtype=torch.bool)
        for i, row in enumerate(ids):
            padded[i, : len(row)] = torch.tensor(row)
            attended[i, : len(row)] = True
        padded, attended = padded.to(self._device), attended.to(self._device)
        hidden = self._model(input_ids=padded, attention_mask=attended.long()).last_hidden_state
        keep = attended & ~torch.isin(padded, self._special)
        return readout.embeddings(hidden, attended, keep, self.spec.pooling)
