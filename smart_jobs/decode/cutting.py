"""A planned asset -> what becomes of it: segments, failure rows, an order to copy, and its own row."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from smart_jobs.decode import reading
from smart_jobs.decode.opening import Integrity, Wanted
from smart_jobs.decode.segments import PartsOf, Piece, attached, passages, pieces, refuse
from smart_jobs.decode.spool import Spool
from smart_jobs.records import (
    ANY_ENCODER,
    RETRIED,
    Asset,
    AssetError,
    Media,
    Planned,
    Segment,
    Shown,
    content_key,
    content_of,
    partial_version,
    segment_id,
)
from smart_jobs.sampling import Sampling

Cut = Segment | dict[str, Any]
"""A segment, or a row: of `failures`, of `assets`, or in the copy schema."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What decoding needs to know of the run.

    `split` cuts a text into passages, given its side and instruction; `parts` decodes a file. `sampling` says what the
    encoder sees of it, None: its text alone. `contents` are the sorted keys (`records.content_key`) of what the lake
    has whole, under whatever URI.
    """

    spec: str
    run_id: str
    text_long: str
    max_length: int
    unit_tokens: int
    split: Callable[[str, str, str], list[str]]
    parts: PartsOf
    contents: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint64))
    sampling: Sampling | None = None
    integrity: Integrity = "fast"

    def wanted(self, uri: str, media: Media | Shown) -> Wanted:
        """What is asked of the decoder of a file."""
        return Wanted(uri, media, self.sampling, self.integrity)


def cut(item: Planned, policy: Policy) -> Iterator[Cut]:
    """Segments or an order to copy, failure rows, and the asset's own row last.

    Beyond what a spool leaves alone, pixels are in memory for one segment at a time.
    """
    asset, version = item.asset, f"stamp:{item.asset.stamp}"
    try:
        _refuse(asset, policy)
        read = reading.read(asset, files=policy.sampling is not None)
        asset, version = read.asset, read.version
        known = next((whole for whole in sorted(item.complete) if content_of(whole) == version), None)
        if known is not None:
            version = known
        elif version not in item.partial and _elsewhere(content_key(version, asset.media, asset.uri), policy.contents):
            yield {"asset": {**asdict(asset), "meta": list(asset.meta.items())}, "version": version}
        else:
            spool = Spool()
            found = pieces_of(read, policy, spool)
            version = _as_read(version, found)
            yield from _missing(Planned(asset, item.complete, item.partial), version, found, policy, spool)
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


def _refuse(asset: Asset, policy: Policy) -> None:
    """Raise `unsupported` for what the encoder does not take, which then need not be read."""
    refuse(policy.wanted(asset.uri, asset.media))
    for file in asset.files if policy.sampling is not None else ():
        refuse(policy.wanted(file.uri, file.media))


def pieces_of(read: reading.Read, policy: Policy, spool: Spool) -> list[Piece]:
    """What an asset is cut into, in order; pixels go into `spool`. Raises AssetError where the whole of it fails."""
    asset = read.asset
    whole = policy.text_long == "truncate" or (policy.text_long == "auto" and asset.media == "row")

    def split(text: str) -> list[str]:
        return [text] if whole else policy.split(text, asset.side, asset.instruction)

    if asset.media != "row":
        return pieces(read.contents[0], policy.wanted(asset.uri, asset.media), split, policy.parts, spool)
    if read.contents:
        files = zip(read.contents, asset.files, strict=True)
        shown = ((data, policy.wanted(file.uri, file.media)) for data, file in files)
        return [attached(asset.words, shown, policy.parts, spool)]
    if asset.verbatim and not asset.files:
        return [Piece(text=passage) for passage in split(asset.words)]
    return passages(None, asset.words, "the record", split)


def _elsewhere(key: int, contents: np.ndarray) -> bool:
    at = int(np.searchsorted(contents, np.uint64(key)))
    return at < len(contents) and int(contents[at]) == key


def _as_read(content: str, found: list[Piece]) -> str:
    """The content's own version where all of it could be read."""
    unread = [i for i, piece in enumerate(found) if piece.error is not None and piece.error.reason in RETRIED]
    return partial_version(content, unread) if unread else content


def _missing(item: Planned, version: str, found: list[Piece], policy: Policy, spool: Spool) -> Iterator[Cut]:
    if version in item.complete:
        return
    done = item.partial.get(version, frozenset())
    for ordinal, piece in enumerate(found):
        if ordinal in done:
            continue
        if piece.error is not None:
            yield _failure(item, version, piece.error, policy, ordinal, len(found))
        else:
            yield segment_of(item.asset, version, ordinal, len(found), piece, spool)


def segment_of(asset: Asset, version: str, ordinal: int, of: int, piece: Piece, spool: Spool) -> Segment:
    """The segment that a good piece is, one of so many; its pixels come out of `spool`."""
    visuals = tuple(spool.visual(kept) for kept in piece.visuals)
    return Segment(
        segment_id=segment_id(asset.uri, version, ordinal),
        asset_id=asset.id,
        uri=asset.uri,
        source=asset.source,
        version=version,
        media=asset.media,
        ordinal=ordinal,
        of=of,
        page=piece.page,
        title=asset.title,
        text=piece.text,
        side=asset.side,
        instruction=asset.instruction,
        meta=asset.meta,
        start=piece.start,
        end=piece.end,
        visuals=visuals,
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
