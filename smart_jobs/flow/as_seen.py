"""A stored segment as its model saw it: cut again, and held to what is stored of its tokens. Nothing is encoded."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from smart_jobs import masks, sources, storage
from smart_jobs.decode import again
from smart_jobs.decode.cutting import Policy
from smart_jobs.decode.sandbox import Sandbox
from smart_jobs.encode import checkpoint, tokens
from smart_jobs.encode.encoder import Encoder
from smart_jobs.encode.prompts import Prompt
from smart_jobs.encode.spec import EncoderSpec
from smart_jobs.lake.writer import EXCERPT
from smart_jobs.records import Asset, AssetError, Segment
from smart_jobs.settings import Explain


class UnseenError(Exception):
    """Why a segment cannot be shown any more, in one line."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A segment of a lake: its `row` of pooled, and what hidden_states says of its n states.

    `pooled` (d,) float32; `states` (n, d) float32 as their codec gives them; `kinds` (n,), `grids` and `times` as in
    `records.Embedding`.
    """

    row: dict[str, Any]
    pooled: np.ndarray
    states: np.ndarray
    kinds: np.ndarray | None
    grids: tuple[tuple[int, int, int], ...]
    times: tuple[float, ...]


def prompt(stored: Stored, spec: EncoderSpec, job: Explain, model: Encoder) -> Prompt:
    """The prompt of a segment, with the tokens that are states and with its visuals.

    Raises UnseenError where its source is gone or changed, or where a token would not be what its state is of.
    """
    if stored.kinds is None:
        merged = f"are merged (pool_factor={spec.pool_factor}) and" if spec.pool_factor else "are those that"
        raise UnseenError(f"its states {merged} stand for no single token")
    try:
        made = model.prompt(_segment(stored, spec, job))
    except AssetError as error:
        raise UnseenError(error.detail) from error
    except OSError as error:
        raise UnseenError(" ".join(str(error).split())[:300]) from error
    kept = made.take(masks.keep(made.kinds, spec.mask))
    times = [time for visual in made.visuals for time in visual.times]
    if not np.array_equal(kept.kinds, stored.kinds) or (made.grids, times) != (stored.grids, list(stored.times)):
        raise UnseenError(f"it now has other tokens than are stored, {len(kept.ids):,} and {len(stored.kinds):,}; "
                          "were libraries upgraded since?")  # fmt: skip
    return kept


def _segment(stored: Stored, spec: EncoderSpec, job: Explain) -> Segment:
    """The segment from the lake alone where that has all of its text, else from its source."""
    row = stored.row
    known = {name: row[name] for name in Segment.__dataclass_fields__ if name in row}
    segment = Segment(**known, side="document", instruction="", meta={}, visuals=())
    if not stored.grids and len(row["text"]) < EXCERPT:
        return segment
    part = row["page"] - 1 if row["page"] is not None else row["ordinal"] if row["media"] == "video" else 0
    return again.segment(_asset(row, job), segment, _policy(spec, job, part))


def _asset(row: dict[str, Any], job: Explain) -> Asset:
    """The source as it is now. Raises UnseenError where there is none."""
    uri = row["uri"]
    if row["media"] != "row":
        found = storage.info(uri)
        if found.kind != "file":
            raise UnseenError(f"{uri} is gone")
        return Asset(uri, row["source"], found.stamp, row["media"], found.size, row["title"])
    if job.source is None:
        raise UnseenError(f"{uri} is a row of a table; source=TABLE with its source.columns finds it again")
    asset = next((asset for asset in sources.assets(job.source) if asset.uri == uri), None)
    if asset is None:
        raise UnseenError(f"{uri} is not in source {job.source.name}")
    return asset


def _policy(spec: EncoderSpec, job: Explain, part: int) -> Policy:
    """As the segment was cut, but for the parts before and behind it."""
    split = tokens.splitter(spec, checkpoint.locate(job.encoder))
    parts = again.one_part(Sandbox(job.decode), part)
    return Policy(spec.digest, "", spec.text_long, spec.max_length, 1, split, parts, sampling=spec.sampling)
