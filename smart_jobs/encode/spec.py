"""The frozen config of an encoder, and the digest that names every table it writes."""

import hashlib
import json
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from smart_jobs.keys import Family, Pooling
from smart_jobs.masks import Mask
from smart_jobs.records import Side
from smart_jobs.sampling import Sampling
from smart_jobs.strict import Strict

FORMER_NAME = "non_special"
"""What the mask `reference` was called in lakes of the first releases, and is in every digest still."""


def _today(mask: str) -> str:
    return "reference" if mask == FORMER_NAME else mask


class EncoderSpec(Strict):
    """Everything that changes what an encoder computes, and nothing else: no library versions, no codec, no threads.

    A field added in a later release must default to None and mean "as before" then: None is left out of the digest,
    so that an upgrade re-encodes nothing. Whatever says the same as None must become None (a `pool_factor` of 1 does).
    """

    name: str
    family: Family
    model: str
    revision: str
    processor: str
    dim: int
    pooling: Pooling
    normalize: bool
    mask: Annotated[Mask, BeforeValidator(_today)]
    mask_query: Mask | None = None
    max_length: int
    dtype: Literal["float32", "bfloat16", "float16"]
    prompts: dict[str, str]
    text_long: Literal["auto", "split", "truncate"]
    sampling: Sampling | None = None
    adapter: str | None = None
    pool_factor: int | None = Field(None, ge=2)

    @property
    def digest(self) -> str:
        """12 hex digits of blake2b over the canonical JSON of every field but `name`."""
        content = self.model_dump(mode="json", exclude={"name"}, exclude_none=True)
        if content["mask"] == "reference":
            content["mask"] = FORMER_NAME
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()

    @property
    def full_name(self) -> str:
        """`<name>-<digest>`, as the folder of its tables is called."""
        return f"{self.name}-{self.digest}"

    def prompt(self, side: str, instruction: str) -> str:
        """What is put before a text: its own instruction, else the checkpoint's prompt for this side."""
        return instruction or self.prompts.get(side, "")

    def mask_of(self, side: Side) -> Mask:
        """Which tokens of a segment on this side become states."""
        return self.mask_query if side == "query" and self.mask_query is not None else self.mask

    @property
    def pooled_kind(self) -> str:
        """Where a pooled vector comes from: `model`, or `mean_states` where the model has none of its own."""
        return "mean_states" if self.pooling == "mean_states" else "model"
