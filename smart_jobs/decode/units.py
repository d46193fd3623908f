"""Planned assets -> units of work: rows of about `unit_tokens` tokens that hold a list of segments.

The same assets and settings give the same units in the same order: Ray replays a dead actor's task and drops what it
has already delivered by position. (A page that is too slow once and not the second time moves the units behind it. If
its actor dies as well, that may leave assets incomplete: the run says so at its end, and the next one completes them.)
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from smart_jobs import schema, storage
from smart_jobs.decode.segments import PageTexts, Piece, pieces
from smart_jobs.records import (
    ANY_ENCODER,
    RETRIED,
    Asset,
    AssetError,
    Planned,
    Segment,
    content_key,
    content_of,
    content_version,
    partial_version,
    segment_id,
    text_digest,
)

CHARACTERS_PER_TOKEN = 4
COPIES = 64
"""Assets that one unit copies at most."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What decoding needs to know of the run.

    `split` cuts a text into passages, given its side and instruction; `page_texts` reads a document. `contents` are the
    sorted keys (`records.content_key`) of what the lake has whole, under whatever URI.
    """

    spec: str
    run_id: str
    text_long: str
    max_length: int
    unit_tokens: int
    split: Callable[[str, str, str], list[str]]
    page_texts: PageTexts
    contents: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint64))


@dataclass(slots=True)
class _Unit:
    segments: list[Segment] = field(default_factory=list)
    copies: list[dict[str, Any]] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)
    assets: list[dict[str, Any]] = field(default_factory=list)
    tokens: int = 0

    def table(self) -> pa.Table:
        """One row in the unit schema."""
        names = [str(s.segment_id) for s in self.segments] + [row["asset_id"] for row in self.failures + self.assets]
        row = {
            "unit": text_digest(*names)[:16],
            "segments": [{**asdict(segment), "meta": list(segment.meta.items())} for segment in self.segments],
            "copies": self.copies,
            "failures": self.failures,
            "assets": self.assets,
        }
        return pa.Table.from_pylist([row], schema=schema.UNIT)


def units(planned: Iterable[Planned], policy: Policy) -> Iterator[pa.Table]:
    """One-row tables in the unit schema; every ordinal not yet in the lake is in exactly one, as segment or failure.

    A bad asset or page becomes a failure row and costs the others nothing. An asset whose content is known already
    comes back as its `assets` row alone, one whose content is known under another URI as an order to copy it.
    """
    unit = _Unit()
    for item in planned:
        for part in _parts(item, policy):
            _extend(unit, part, policy)
            if unit.tokens >= policy.unit_tokens:
                yield unit.table()
                unit = _Unit()
    if unit.segments or unit.failures or unit.assets:
        yield unit.table()


def segment(row: Mapping[str, Any]) -> Segment:
    """A segment from its row in a unit."""
    return Segment(**{**row, "meta": dict(row["meta"])})


Part = Segment | dict[str, Any]


def _extend(unit: _Unit, part: Part, policy: Policy) -> None:
    if isinstance(part, Segment):
        unit.segments.append(part)
        unit.tokens += min(len(part.text) // CHARACTERS_PER_TOKEN + 2, policy.max_length)
    elif "asset" in part:
        unit.copies.append(part)
        unit.tokens += policy.unit_tokens // COPIES
    else:
        (unit.failures if "reason" in part else unit.assets).append(part)


def _parts(item: Planned, policy: Policy) -> Iterator[Part]:
    """Segments or an order to copy, failure rows, and the asset's own row last."""
    asset = item.asset
    version = asset.stamp if asset.media == "row" else f"stamp:{asset.stamp}"
    try:
        content = b"" if asset.media == "row" else _read(asset)
        version = asset.stamp if asset.media == "row" else content_version(content)
        known = next((whole for whole in sorted(item.complete) if content_of(whole) == version), None)
        if known is not None:
            version = known
        elif version not in item.partial and _elsewhere(content_key(version, asset.media, asset.uri), policy.contents):
            yield {"asset": {**asdict(asset), "meta": list(asset.meta.items())}, "version": version}
        else:
            found = _pieces(asset, content, policy)
            version = _as_read(version, found)
            yield from _missing(item, version, found, policy)
    except AssetError as error:
        yield _failure(item, version, error, policy)
    yield {
        "asset_id": asset.id,
        "uri": asset.uri,
        "source": asset.source,
        "stamp": asset.stamp,
        "version": version,
        "media": asset.media,
        "size": asset.size,
        "run_id": policy.run_id,
    }


def _read(asset: Asset) -> bytes:
    """All bytes from one handle; raises AssetError `changed` where the file is not the one that was listed."""
    try:
        content = storage.read_bytes(asset.uri)
        info = storage.info(asset.uri)
    except OSError as error:
        raise AssetError("read_error", " ".join(str(error).split())[:500], "read") from error
    if info.stamp != asset.stamp or len(content) != info.size:
        raise AssetError("changed", f"listed as {asset.stamp}, read as {info.stamp}", "read")
    return content


def _pieces(asset: Asset, content: bytes, policy: Policy) -> list[Piece]:
    whole = policy.text_long == "truncate" or (policy.text_long == "auto" and asset.media == "row")

    def split(text: str) -> list[str]:
        return [text] if whole else policy.split(text, asset.side, asset.instruction)

    if asset.media != "row":
        return pieces(asset, content, split, policy.page_texts)
    text = f"{asset.title} {asset.text}".strip()
    if not text:
        return [Piece(None, AssetError("empty", "the record has no text", "decode"))]
    return [Piece(None, passage) for passage in split(text)]


def _elsewhere(key: int, contents: np.ndarray) -> bool:
    at = int(np.searchsorted(contents, np.uint64(key)))
    return at < len(contents) and int(contents[at]) == key


def _as_read(content: str, found: list[Piece]) -> str:
    """The content's own version where all of it could be read."""
    errors = [(i, piece.text) for i, piece in enumerate(found) if isinstance(piece.text, AssetError)]
    unread = [i for i, error in errors if error.reason in RETRIED]
    return partial_version(content, unread) if unread else content


def _missing(item: Planned, version: str, found: list[Piece], policy: Policy) -> Iterator[Part]:
    if version in item.complete:
        return
    done = item.partial.get(version, frozenset())
    for ordinal, piece in enumerate(found):
        if ordinal in done:
            continue
        if isinstance(piece.text, AssetError):
            yield _failure(item, version, piece.text, policy, ordinal, len(found))
        else:
            yield _segment(item.asset, version, ordinal, len(found), piece.page, piece.text)


def _segment(asset: Asset, version: str, ordinal: int, of: int, page: int | None, text: str) -> Segment:
    return Segment(
        segment_id=segment_id(asset.uri, version, ordinal),
        asset_id=asset.id,
        uri=asset.uri,
        source=asset.source,
        version=version,
        media=asset.media,
        ordinal=ordinal,
        of=of,
        page=page,
        title=asset.title,
        text=text,
        side=asset.side,
        instruction=asset.instruction,
        meta=asset.meta,
    )


def _failure(
    item: Planned, version: str, error: AssetError, policy: Policy, ordinal: int | None = None, of: int | None = None
) -> dict[str, Any]:
    return {
        "spec": None if error.reason in ANY_ENCODER else policy.spec,
        "asset_id": item.asset.id,
        "uri": item.asset.uri,
        "source": item.asset.source,
        "version": version,
        "ordinal": ordinal,
        "of": of,
        "step": error.step,
        "reason": error.reason,
        "detail": error.detail,
        "attempts": 1,
        "run_id": policy.run_id,
        "at": datetime.now(UTC),
    }
