"""Planned assets -> units of work: rows of about `unit_tokens` tokens that hold a list of segments.

The same assets and settings give the same units in the same order: Ray replays a dead actor's task and drops what it
has already delivered by position. (A page that is too slow once and not the second time moves the units behind it. If
its actor dies as well, that may leave assets incomplete: the run says so at its end, and the next one completes them.)
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from smart_jobs import sampling, wire
from smart_jobs.decode import cutting
from smart_jobs.decode.cutting import Cut, Policy
from smart_jobs.records import Planned, Segment, Visual, text_digest
from smart_jobs.sampling import Sampling

CHARACTERS_PER_TOKEN = 4
COPIES = 64
"""Assets that one unit copies at most."""
PIXELS = 256 * 2**20
"""Bytes of pixels that fill a unit, however few tokens they are."""


@dataclass(slots=True)
class _Unit:
    segments: list[dict[str, Any]] = field(default_factory=list)
    pixels: list[np.ndarray] = field(default_factory=list)
    copies: list[dict[str, Any]] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)
    assets: list[dict[str, Any]] = field(default_factory=list)
    tokens: int = 0
    bytes: int = 0

    def table(self) -> pa.Table:
        """One row in the unit schema. The unit's own pixels are gone then."""
        names = [str(row["segment_id"]) for row in self.segments]
        names += [row["asset_id"] for row in self.failures + self.assets]
        row = {
            "unit": text_digest(*names)[:16],
            "segments": self.segments,
            "copies": self.copies,
            "failures": self.failures,
            "assets": self.assets,
        }
        made = pa.Table.from_pylist([row], schema=wire.UNIT)
        at = wire.UNIT.get_field_index("pixels")
        pixels = pa.ListArray.from_arrays(pa.array([0, len(self.pixels)], pa.int32()), _binary(self.pixels))
        return made.set_column(at, wire.UNIT.field(at), pixels)


def units(planned: Iterable[Planned], policy: Policy) -> Iterator[pa.Table]:
    """One-row tables in the unit schema; every ordinal not yet in the lake is in exactly one, as segment or failure.

    A bad asset or page becomes a failure row and costs the others nothing. An asset whose content is known already
    comes back as its `assets` row alone, one whose content is known under another URI as an order to copy it. Pixels
    are in memory for one unit at a time.
    """
    unit = _Unit()
    for item in planned:
        for part in cutting.cut(item, policy):
            _extend(unit, part, policy)
            if unit.tokens >= policy.unit_tokens or unit.bytes >= PIXELS:
                yield unit.table()
                unit = _Unit()
    if unit.segments or unit.failures or unit.assets:
        yield unit.table()


def segments(unit: pa.Table) -> list[Segment]:
    """The segments of a unit. Their pixels are views of the table's buffers, and cannot be written to."""
    [chunk] = [chunk for chunk in unit["pixels"].chunks if len(chunk)]
    pixels = _views(chunk.flatten())
    found = []
    for row in unit["segments"][0].as_py():
        visuals = tuple(_visual(head, next(pixels)) for head in row["visuals"])
        found.append(Segment(**{**row, "meta": dict(row["meta"]), "visuals": visuals}))
    return found


def estimated(segment: Segment, policy: Policy) -> int:
    """Tokens of a segment, from the length of its text and the size of its visuals: no tokenizer is asked."""
    text = len(segment.text) // CHARACTERS_PER_TOKEN + 2
    return min(text + sum(_tokens(visual, policy.sampling) for visual in segment.visuals), policy.max_length)


def _tokens(visual: Visual, seen: Sampling | None) -> int:
    frames, height, width, _ = visual.pixels.shape
    if seen is None:
        return 0
    if visual.kind == "video" and seen.video is not None:
        return sampling.tokens(height, width, seen.video.factor, frames, seen.video.multiple)
    return sampling.tokens(height, width, seen.image[-1].factor, frames)


def _binary(arrays: list[np.ndarray]) -> pa.Array:
    """The bytes of each array, one behind the other. Each array is let go as soon as it is copied."""
    offsets = np.cumsum([0, *(array.nbytes for array in arrays)], dtype=np.int64)
    data = np.empty(offsets[-1], np.uint8)
    while arrays:
        array = arrays.pop()
        data[offsets[len(arrays)] : offsets[len(arrays) + 1]] = array.reshape(-1)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(offsets) - 1, buffers)


def _row(segment: Segment) -> dict[str, Any]:
    """A segment in the segment schema: of its visuals the shapes, the pixels go beside it."""
    visuals = [
        dict(zip(wire.VISUAL.names, (item.kind, *item.pixels.shape[:3], item.times), strict=True))
        for item in segment.visuals
    ]
    row = {name: getattr(segment, name) for name in wire.SEGMENT.names}
    return row | {"meta": list(segment.meta.items()), "visuals": visuals}


def _views(values: pa.LargeBinaryArray) -> Iterator[np.ndarray]:
    """The bytes of each value where they lie: pyarrow's own scalars are copies."""
    if not len(values):
        return
    _, offsets, data = values.buffers()
    bounds = np.frombuffer(offsets, np.int64)[values.offset : values.offset + len(values) + 1]
    for start, end in pairwise(bounds):
        yield np.frombuffer(data, np.uint8)[start:end]


def _visual(head: dict[str, Any], pixels: np.ndarray) -> Visual:
    shape = (head["frames"], head["height"], head["width"], 3)
    return Visual(head["kind"], pixels.reshape(shape), tuple(head["times"]))


def _extend(unit: _Unit, part: Cut, policy: Policy) -> None:
    if isinstance(part, Segment):
        unit.segments.append(_row(part))
        unit.pixels += [visual.pixels for visual in part.visuals]
        unit.tokens += estimated(part, policy)
        unit.bytes += sum(visual.pixels.nbytes for visual in part.visuals)
    elif "asset" in part:
        unit.copies.append(part)
        unit.tokens += policy.unit_tokens // COPIES
    else:
        (unit.failures if "reason" in part else unit.assets).append(part)
