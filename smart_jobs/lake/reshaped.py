"""Stored states as a stricter mask or a coarser codec would have left them, without encoding anything again."""

from collections.abc import Sequence

import numpy as np

from smart_jobs import codec
from smart_jobs.lake.states import Packed, Ragged
from smart_jobs.records import Codec, JobError

ROWS = 4096
"""States that are decoded at a time: 4·ROWS·d bytes."""


def check(stored: Codec, to: Codec, what: str) -> None:
    """Raise JobError where states stored as `stored` cannot be taken as `to`: what is lost cannot be had back."""
    if codec.CODECS.index(to) < codec.CODECS.index(stored):
        raise JobError(f"codec={to}: the states of {what} are stored as {stored}, which is coarser; "
                       f"what it lost comes back with an ingest into a fresh lake with codec={to} alone")  # fmt: skip


def recoded(documents: Packed, to: Codec) -> Packed:
    """The same states as `to` would store what is stored: with the error of both. Raises JobError for a finer codec.

    Besides the result 8·ROWS·d bytes are held.
    """
    if to == documents.codec:
        return documents
    check(documents.codec, to, "this segment")
    count, head = len(documents.rows), codec.factor_bytes(to)
    factors = np.empty(count if head else 0, codec.FACTORS.get(to, "<f4"))
    rows = np.empty((count, codec.row_bytes(documents.dim, to)), np.uint8)
    for first in range(0, count, ROWS):
        some = slice(first, min(first + ROWS, count))
        coded = np.frombuffer(codec.encode(_decoded(documents, some), to), np.uint8)
        n = some.stop - some.start
        if head:
            factors[some] = coded[: head * n].view(factors.dtype)
        rows[some] = coded[head * n :].reshape(n, -1)
    return Packed(to, documents.dim, factors, rows, documents.offsets)


def _decoded(documents: Packed, some: slice) -> np.ndarray:
    data = documents.factors[some].tobytes() + documents.rows[some].tobytes()
    return codec.decode(data, some.stop - some.start, documents.dim, documents.codec)


def masked(documents: Packed, kept: Sequence[np.ndarray], pooled: np.ndarray) -> Packed:
    """The states that `kept` (n_i,) bool names of each segment, as they are stored.

    Of a segment that keeps none it is the pooled vector, a row of `pooled` (s, d), stored in the same way: the rule of
    the reference's evaluators, and what encoding with that mask would have stored.
    """
    index, offsets, empty = _chosen(documents.offsets, kept)
    rows, factors = documents.rows, documents.factors
    if len(empty):
        coded = np.frombuffer(codec.encode(pooled[empty], documents.codec), np.uint8)
        head = codec.factor_bytes(documents.codec) * len(empty)
        rows = np.concatenate([rows, coded[head:].reshape(len(empty), -1)])
        factors = np.concatenate([factors, coded[:head].view(factors.dtype)])
    return Packed(documents.codec, documents.dim, factors[index] if len(factors) else factors, rows[index], offsets)


def masked_values(states: Ragged, kept: Sequence[np.ndarray], pooled: np.ndarray) -> Ragged:
    """As `masked`, of states that are decoded."""
    index, offsets, empty = _chosen(states.offsets, kept)
    values = np.concatenate([states.values, pooled[empty]]) if len(empty) else states.values
    return Ragged(values[index], offsets)


def _chosen(offsets: np.ndarray, kept: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places (m,) of what is kept, the new offsets, and the segments (e,) that keep nothing.

    These have the places behind all others, one each, in their order.
    """
    keep = np.concatenate([np.empty(0, bool), *kept])
    owner = np.repeat(np.arange(len(kept)), np.diff(offsets))[keep]
    empty = np.setdiff1d(np.arange(len(kept)), owner)
    index = np.concatenate([np.flatnonzero(keep), len(keep) + np.arange(len(empty))])
    segment = np.concatenate([owner, empty])
    counts = np.bincount(segment, minlength=len(kept))
    return index[np.argsort(segment, kind="stable")], np.concatenate([[0], np.cumsum(counts)]), empty
