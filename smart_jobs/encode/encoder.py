"""What an encoder is, and how the one that a spec names is loaded."""

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from smart_jobs.encode import checkpoint
from smart_jobs.encode.spec import EncoderSpec
from smart_jobs.keys import Family
from smart_jobs.records import AssetError, Embedding, JobError, Segment

if TYPE_CHECKING:
    from smart_jobs.encode.batched import Model
    from smart_jobs.encode.prompts import Prompt


CLASSES: Mapping[Family, str] = {
    "text": "TextModel",
    "qwen3_vl": "Qwen3VL",
    "gme": "GME",
    "vlm2vec": "VLM2Vec",
    "lamra": "LamRA",
    "jina_v4": "JinaV4",
    "colpali": "ColPali",
    "clip": "CLIP",
    "siglip": "SigLIP",
}
"""The class of each family, in the module of its name."""


class Encoder(Protocol):
    """A model with its decode policy, ready to run."""

    spec: EncoderSpec

    def encode(self, segments: Sequence[Segment]) -> list[Embedding | AssetError]:
        """One result for each segment, in order; a bad segment costs its neighbours nothing."""
        ...

    def prompt(self, segment: Segment) -> "Prompt":
        """What `encode` gives the model of a segment, before any pass. Raises AssetError where it is bad."""
        ...


def load(spec: EncoderSpec, folder: Path, threads: int, batch_tokens: int, adapter: Path | None = None) -> Encoder:
    """The encoder of `spec` with the weights in `folder`, on a GPU where torch sees one, else on `threads` CPUs.

    `batch_tokens` bounds the padded tokens of a forward pass. `adapter` is the file that the spec has the digest of.
    Raises JobError where it is missing or another.
    """
    if spec.adapter != (checkpoint.file_digest(adapter) if adapter else None):
        raise JobError(f"encoder {spec.name}: {adapter or 'no adapter'} is not the adapter of its spec, {spec.adapter}")
    import torch  # late: the driver plans without it
    import transformers

    from smart_jobs.encode import adapter as adapters
    from smart_jobs.encode.batched import Batched

    torch.set_num_threads(threads)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    changed = adapters.read(adapter, spec.dim) if adapter else None
    model: Encoder = Batched(_model(spec, folder), batch_tokens, changed)
    if spec.pool_factor is None:
        return model
    from smart_jobs.encode.merging import Merging  # late: scipy is of no use to others

    return Merging(model, spec.pool_factor)


def _model(spec: EncoderSpec, folder: Path) -> "Model":
    """The family's own module, and no other, is imported."""
    module = importlib.import_module(f"smart_jobs.encode.{spec.family}")
    return cast("Model", getattr(module, CLASSES[spec.family])(spec, folder))
