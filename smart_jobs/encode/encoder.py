"""What an encoder is, and how the one that a spec names is loaded."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from smart_jobs.encode.spec import EncoderSpec
from smart_jobs.records import AssetError, Embedding, Segment

if TYPE_CHECKING:
    from smart_jobs.encode.batched import Model


class Encoder(Protocol):
    """A model with its decode policy, ready to run."""

    spec: EncoderSpec

    def encode(self, segments: Sequence[Segment]) -> list[Embedding | AssetError]:
        """One result for each segment, in order; a bad segment costs its neighbours nothing."""
        ...


def load(spec: EncoderSpec, folder: Path, threads: int, batch_tokens: int) -> Encoder:
    """The encoder of `spec` with the weights in `folder`, on a GPU where torch sees one, else on `threads` CPUs.

    `batch_tokens` bounds the padded tokens of a forward pass.
    """
    import torch  # late: the driver plans without it
    import transformers

    from smart_jobs.encode.batched import Batched

    torch.set_num_threads(threads)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    model: Encoder = Batched(_model(spec, folder), batch_tokens)
    if spec.pool_factor is None:
        return model
    from smart_jobs.encode.merging import Merging  # late: scipy is of no use to others

    return Merging(model, spec.pool_factor)


def _model(spec: EncoderSpec, folder: Path) -> "Model":
    """The family's own module, and no other, is imported."""
    if spec.family == "text":
        from smart_jobs.encode.text import TextModel

        return TextModel(spec, folder)
    from smart_jobs.encode.qwen3_vl import Qwen3VL

    return Qwen3VL(spec, folder)
