"""The words of the system as types, their ids, and the errors that a user may see."""

import hashlib
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Literal

import numpy as np

Media = Literal["document", "text", "row", "image", "video"]
Shown = Literal["image", "video", "frame"]
Side = Literal["document", "query"]
Codec = Literal["float32", "bf16", "int8", "int4", "binary"]

REASONS: Mapping[str, str] = {
    "empty": "nothing to encode: no text on this page or in this record, no frame in this video",
    "empty_file": "the file has no bytes",
    "encrypted": "a password is needed to open it",
    "damaged": "the decoder can neither open nor repair it",
    "unsupported": "no decoder takes this format, or the content is not what the name says, or not this model's kind",
    "too_large": "its header declares more pixels than may be decoded",
    "too_long": "more tokens than the model's window has, even at the lowest resolution",
    "changed": "the source was replaced while it was being read",
    "read_error": "the source could not be read",
    "not_finite": "the model's output held NaN or infinity",
    "timeout": "the decoder was not done in time and was killed",
    "worker_died": "the process that worked on it died: the decoder by a signal, or an encoder three times",
    "out_of_memory": "the decoder, or the model, needed more memory than it may have",
}
"""Why a segment or an asset is in `failures`: the closed vocabulary of the column `reason`."""

ANY_ENCODER = frozenset({"empty_file", "encrypted", "damaged"})
"""Reasons that no encoder can change; their rows carry no spec."""

RETRIED = frozenset({"changed", "read_error", "timeout", "worker_died", "out_of_memory"})
"""Reasons that may pass, by themselves or on another machine: the next runs try again, `MAX_ATTEMPTS` times in all.

`timeout`, `worker_died` and `out_of_memory` may stand for one page or segment as well as for a whole asset.
"""

MAX_ATTEMPTS = 3


class AssetError(Exception):
    """The input is bad; record it and go on with the others. The only exception an actor catches."""

    def __init__(self, reason: str, detail: str, step: str) -> None:
        """`reason` is a key of `REASONS`; `step` names the stage that noticed, as in the column `step`."""
        if reason not in REASONS:
            raise ValueError(f"unknown failure reason {reason!r}")
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail, self.step = reason, detail, step

    def __reduce__(self) -> tuple[type["AssetError"], tuple[str, str, str]]:
        """Pickle by its three parts: actors send it."""
        return AssetError, (self.reason, self.detail, self.step)


class UsageError(Exception):
    """The command line or a config file is wrong: one line, exit code 2."""


class JobError(Exception):
    """The job cannot go on, and the user can do something about it: one line, exit code 1."""


def _digest(*parts: str, size: int) -> bytes:
    """blake2b over the parts, each preceded by its length, so that ("ab", "c") and ("a", "bc") differ."""
    state = hashlib.blake2b(digest_size=size)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        state.update(len(data).to_bytes(8, "little") + data)
    return state.digest()


def dated_id(now: datetime | None = None) -> str:
    """The id of a run or an index: UTC to the millisecond and three random bytes, so that ids sort by time.

    By seconds alone, two of one second would be in either order, and which row is an asset's newest left to chance.
    """
    now = now or datetime.now(UTC)
    return f"{now:%Y%m%dT%H%M%S}{now.microsecond // 1000:03}-{secrets.token_hex(3)}"


def text_digest(*parts: str) -> str:
    """blake2b-128 of strings, as 32 hex digits."""
    return _digest(*parts, size=16).hex()


def content_version(data: bytes) -> str:
    """The `version` of an asset: blake2b-128 of the bytes that are decoded, as 32 hex digits."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def partial_version(content: str, unread: Iterable[int]) -> str:
    """The version of an asset of which these pages or parts could not be read by a fault that may pass.

    What is cut from it then has ids of its own: the parts behind an unread one have other ordinals than they will have
    when it is read. The whole content is another version, which replaces this one in one swap.
    """
    return f"{content}!{text_digest(*map(str, unread))[:8]}"


def content_of(version: str) -> str:
    """The hash of the bytes in a version, whether all of them could be read or not."""
    return version.partition("!")[0]


def content_key(version: str, media: str, uri: str) -> int:
    """What two assets share whose segments are the same: the content, and how it is decoded. Unsigned 64 bits."""
    suffix = "" if media == "row" else PurePosixPath(uri).suffix.lower()
    return int.from_bytes(_digest(version, media, suffix, size=8), "little")


def asset_id(uri: str) -> str:
    """The id of a source object: blake2b-128 of its URI."""
    return text_digest(uri)


def segment_id(uri: str, version: str, ordinal: int) -> int:
    """The id of a segment: a positive int64 (1 … 2⁶³-1), as faiss needs; uniqueness is checked at commit."""
    return (int.from_bytes(_digest(uri, version, str(ordinal), size=8), "little") >> 1) or 1


@dataclass(frozen=True, slots=True)
class Attached:
    """A file that a row of a table names; `stamp` is empty where there was none when it was listed.

    A `frame` is one picture of a video: those that follow each other in a row are one video, in their order.
    """

    uri: str
    media: Shown
    stamp: str


@dataclass(frozen=True, slots=True)
class Asset:
    """One source object: a file, or a row of a table.

    `stamp` is what a listing can tell of its content (size and mtime or etag; a row's own digest, `+` and one of its
    files' stamps behind it). A row brings its content along (`text`, `title`, `meta`); a file, and the `files` of a
    row, are read when they are decoded. `verbatim`: its text goes in as it stands, white space and all, and a row
    without files is encoded though it is empty.
    """

    uri: str
    source: str
    stamp: str
    media: Media
    size: int
    title: str = ""
    text: str = ""
    side: Side = "document"
    instruction: str = ""
    meta: Mapping[str, str] = field(default_factory=dict)
    files: tuple[Attached, ...] = ()
    verbatim: bool = False

    @property
    def id(self) -> str:
        """The id under which every table knows it."""
        return asset_id(self.uri)

    @property
    def words(self) -> str:
        """What a row says, as a model gets it: its title, a space, its text."""
        if self.verbatim and not self.title:
            return self.text
        return f"{self.title} {self.text}".strip()


@dataclass(frozen=True, slots=True)
class Planned:
    """An asset to open. `complete` versions are in the lake; of the `partial` ones these ordinals are accounted for."""

    asset: Asset
    complete: frozenset[str] = frozenset()
    partial: Mapping[str, frozenset[int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Visual:
    """An image, or the frames of a clip, at the size at which the model sees it.

    `pixels` (t, h, w, 3) uint8 RGB, contiguous; `times` the seconds at which each of the t frames stands in its video,
    empty for an image, whose t is 1.
    """

    kind: Literal["image", "video"]
    pixels: np.ndarray
    times: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Segment:
    """What gets one embedding: a page, a passage, an image, a clip, a row. `of` segments make up the asset.

    `start` and `end` are seconds of a clip. The model gets the visuals in their order, and the text behind them.
    """

    segment_id: int
    asset_id: str
    uri: str
    source: str
    version: str
    media: str
    ordinal: int
    of: int
    page: int | None
    title: str
    text: str
    side: Side
    instruction: str
    meta: Mapping[str, str]
    start: float | None = None
    end: float | None = None
    visuals: tuple[Visual, ...] = ()


@dataclass(frozen=True, slots=True)
class Embedding:
    """What an encoder gives for one segment: `pooled` (d,) float32 of norm 1, `states` (n, d) float32, n ≥ 1.

    States are as the model gave them, rows of any length: a codec stores them, and `codec.unit` normalises them where
    they are scored. `kinds` (n,) uint8 says what each token is (`smart_jobs.masks`), None where a state stands for no
    single token; `grids` into how many tokens in time, height and width each visual was cut; `times` the seconds at
    which the frames of videos stand.
    """

    pooled: np.ndarray
    states: np.ndarray
    kinds: np.ndarray | None = None
    grids: tuple[tuple[int, int, int], ...] = ()
    times: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Hits:
    """Ranked answers. `ids` (q, k) int64, -1 where there are fewer than k; scores (q, k) float32, -inf there."""

    ids: np.ndarray
    scores: np.ndarray
    pooled: np.ndarray
    late: np.ndarray
