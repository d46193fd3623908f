"""jina-embeddings-v4, its multi-vector side: every token's state through a projection, as a unit vector.

Written on transformers' own Qwen2.5-VL; no code of the checkpoint runs. The folder holds the model with the retrieval
adapter merged into it, and `multi_vector_projector` beside its weights. As jina's `encode_text` and `encode_image` do:
"Query: " stands before texts on both sides, whatever instruction a segment brings, images are shown with a request to
describe them, and every token that is not padding is kept, special ones too. There is no pooled vector of its own: the
states' mean stands in.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import safe_open

from smart_jobs import masks
from smart_jobs.encode import qwen, visuals
from smart_jobs.encode.prompts import Piece, Prompt
from smart_jobs.encode.spec import EncoderSpec
from smart_jobs.records import JobError, Segment, Visual

PREFIX = "Query: "
PROJECTOR = "multi_vector_projector"


class JinaV4:
    """The model in evaluation mode."""

    def __init__(self, spec: EncoderSpec, folder: Path) -> None:
        """Load the weights of `folder` in the spec's dtype.

        Raises JobError where it has no projector, or adapters that are not merged: without them vectors are wrong.
        """
        if (folder / "adapters").exists():
            raise JobError(f"encoder {spec.name}: {folder} has adapters beside the model; merge `retrieval` into it")
        self.spec = spec
        self._backbone = replace(qwen.load(spec, folder), special=frozenset())
        weight, bias = (_projector(folder, name) for name in ("weight", "bias"))
        self._weight, self._bias = (value.to(self._backbone.model.device, torch.float32) for value in (weight, bias))

    def prompt(self, segment: Segment) -> Prompt:
        """The text or the image. Raises AssetError `unsupported` for a video, several images, or text beside one."""
        visuals.check(segment, self.spec.name, videos=False, images=1, mixed=False)
        return visuals.within(
            lambda shown: self._prompt(segment, shown), segment.visuals, self._backbone.patching, self.spec.max_length,
            tail=0,
        )  # fmt: skip

    def _prompt(self, segment: Segment, shown: tuple[Visual, ...]) -> Prompt:
        if shown:
            asked = ("Describe the image.", masks.INSTRUCTION), ("<|im_end|>\n", masks.TEMPLATE)
            pieces: list[Piece] = [("<|im_start|>user\n", masks.TEMPLATE), *qwen.marked(shown[0]), *asked]
        else:
            before = self.spec.prompts.get(segment.side, PREFIX)
            plain = self._backbone.tokenizer.plain
            pieces = [(plain(before), masks.INSTRUCTION), (plain(segment.text), masks.TEXT)]
        return qwen.prompt(self._backbone, pieces, shown)

    def forward(self, batch: Sequence[Prompt]) -> tuple[None, torch.Tensor]:
        """One pass, padded on the right. States are unit vectors of the projection's size."""
        hidden, _ = qwen.native(self._backbone, batch)
        projected = torch.nn.functional.linear(hidden.float(), self._weight, self._bias)
        return None, torch.nn.functional.normalize(projected, dim=-1)


def _projector(folder: Path, part: str) -> torch.Tensor:
    """The projector's weight (d, h) or bias (d,), from whichever file has it."""
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "pt") as tensors:
            found = [name for name in tensors.keys() if name.endswith(f"{PROJECTOR}.{part}")]  # noqa: SIM118 - no dict
            if found:
                tensor: torch.Tensor = tensors.get_tensor(found[0])
                return tensor
    raise JobError(f"{folder}: no tensor {PROJECTOR}.{part} in its safetensors files: not a jina-embeddings-v4")
