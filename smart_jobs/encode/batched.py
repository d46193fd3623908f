"""Any model as an encoder: segments -> prompts -> packed passes -> embeddings, each bad one for itself."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import transformers

from smart_jobs import masks
from smart_jobs.encode import packing, readout
from smart_jobs.encode.adapter import Adapter
from smart_jobs.encode.prompts import Prompt
from smart_jobs.encode.spec import EncoderSpec
from smart_jobs.records import AssetError, Embedding, Segment


class Model(Protocol):
    """A model family: how it reads a segment, and its forward pass."""

    spec: EncoderSpec

    def prompt(self, segment: Segment) -> Prompt:
        """The segment's tokens, within the spec's `max_length`. Raises AssetError, e.g. `too_long`."""
        ...

    def forward(self, prompts: Sequence[Prompt]) -> tuple[torch.Tensor | None, torch.Tensor]:
        """One pass: pooled (b, d), None where the states' mean serves, and final states (b, t, d) from token 0 on."""
        ...


class Batched:
    """An encoder that packs what it gets."""

    def __init__(self, model: Model, batch_tokens: int, adapter: Adapter | None = None) -> None:
        """`batch_tokens` bounds the padded tokens of a pass; `adapter` changes the states that are kept."""
        self.spec = model.spec
        self._model, self._budget, self._adapter = model, batch_tokens, adapter

    def encode(self, segments: Sequence[Segment]) -> list[Embedding | AssetError]:
        """One result for each segment, in order. Out of memory, a pass is halved; one alone gives `out_of_memory`."""
        prompts = [self._prompt(segment) for segment in segments]
        results: dict[int, Embedding | AssetError] = {
            i: item for i, item in enumerate(prompts) if isinstance(item, AssetError)
        }
        good = {i: item for i, item in enumerate(prompts) if isinstance(item, Prompt)}
        places = list(good)
        for batch in packing.batches([len(item.ids) for item in good.values()], self._budget):
            chosen = [places[i] for i in batch]
            sides = [segments[i] for i in chosen]
            results.update(zip(chosen, self._run(sides, [good[i] for i in chosen]), strict=True))
        return [results[i] for i in range(len(segments))]

    def prompt(self, segment: Segment) -> Prompt:
        """The segment's tokens, as `encode` takes them. Raises AssetError, `empty` where there are none."""
        prompt = self._model.prompt(segment)
        if not len(prompt.ids):
            raise AssetError("empty", "no token to encode", "encode")
        return prompt

    def _prompt(self, segment: Segment) -> Prompt | AssetError:
        try:
            return self.prompt(segment)
        except AssetError as error:
            return error

    def _run(self, segments: Sequence[Segment], prompts: Sequence[Prompt]) -> list[Embedding | AssetError]:
        try:
            return self._pass(segments, prompts)
        except torch.OutOfMemoryError:
            if len(prompts) == 1:
                tokens = f"{len(prompts[0].ids):,} tokens do not fit into the device's memory"
                return [AssetError("out_of_memory", tokens, "encode")]
        torch.cuda.empty_cache()
        half = len(prompts) // 2
        return self._run(segments[:half], prompts[:half]) + self._run(segments[half:], prompts[half:])

    @torch.inference_mode()
    def _pass(self, segments: Sequence[Segment], prompts: Sequence[Prompt]) -> list[Embedding | AssetError]:
        pooled, hidden = self._model.forward(prompts)
        keep = [
            masks.keep(prompt.kinds, self.spec.mask_of(segment.side))
            for prompt, segment in zip(prompts, segments, strict=True)
        ]
        results = readout.embeddings(pooled, hidden, keep, self._adapter)
        return [
            replace(result, kinds=prompt.kinds[kept], grids=prompt.grids, times=_times(prompt))
            if isinstance(result, Embedding) and kept.any()
            else result
            for result, prompt, kept in zip(results, prompts, keep, strict=True)
        ]


def _times(prompt: Prompt) -> tuple[float, ...]:
    return tuple(time for visual in prompt.visuals for time in visual.times)


def stack(rows: Sequence[np.ndarray], filler: int) -> torch.Tensor:
    """Rows of integers -> (b, t) int64, padded on the right by `filler`."""
    padded = torch.full((len(rows), max(map(len, rows))), filler)
    for i, row in enumerate(rows):
        padded[i, : len(row)] = torch.from_numpy(row.astype(np.int64))
    return padded


def attended(batch: Sequence[Prompt]) -> torch.Tensor:
    """(b, t) bool: which tokens of the padded batch are no padding."""
    lengths = torch.tensor([len(row.ids) for row in batch])
    return torch.arange(int(lengths.max())) < lengths[:, None]


def pretrained(folder: Path, dtype: str, kind: Any = transformers.AutoModel) -> Any:
    """The weights of `folder` in evaluation mode, on the device; attention by FlashAttention where it is installed."""
    flash = device().type == "cuda" and dtype != "float32" and transformers.utils.is_flash_attn_2_available()
    how = "flash_attention_2" if flash else None  # None: torch's own where a model has it, as nearly all have
    model = kind.from_pretrained(folder, dtype=getattr(torch, dtype), attn_implementation=how)
    model.config.get_text_config().use_cache = False  # there is no next token, so nothing reads keys and values again
    return model.eval().to(device())


def device() -> torch.device:
    """A GPU where torch sees one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
