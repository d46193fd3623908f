"""What an encoder is, and how the one that a spec names is loaded."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from smart_jobs.encode.spec import EncoderSpec
from smart_jobs.records import AssetError, Embedding, Segment


class Encoder(Protocol):
    """A model with its decode policy, ready to run."""

    spec: EncoderSpec

    def encode(self, segments: Sequence[Segment]) -> list[Embedding | AssetError]:
        """One result for each segment, in order; a bad segment costs its neighbours nothing."""
        ...


def load(spec: EncoderSpec, folder: Path, threads: int, batch_tokens: int) -> Encoder:
    """The encoder of `spec` with the weights in `folder`, on a GPU where torch sees one, else on `threads` CPUs."""
    from smart_jobs.encode.text import TextEncoder  # late: the driver plans without torch

    model = TextEncoder(spec, folder, threads, batch_tokens)
    if spec.pool_factor is None:
        return model
    from smart_jobs.encode.merging import Merging  # late: scipy is of no use to others

    return Merging(model, spec.pool_factor)
