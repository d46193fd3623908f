"""The best places for each query while segments stream by: exact, though most segments get no more than a glance.

A glance is the late score with one digit of the query, a third of the work. It is off by no more than a known bound, so
a segment whose best case is below the k-th best place's worst case is dropped; the rest are scored in full.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from smart_jobs.lake.states import Packed, Ragged
from smart_jobs.search import maxsim, products

AMONG = 8
"""Times k: as many of the best segments are sorted first, which mostly are of k places."""
ROUNDING = 1e-6
"""What float32 adds to the sum of two scores, relative to their sizes."""


@dataclass(frozen=True, slots=True)
class Block:
    """n segments with their `ids` (n,), the `places` (n,) they belong to, and their states.

    `known` (q, n) float32 is what each query's score has besides its late part; -inf for no candidate.
    """

    ids: np.ndarray
    places: np.ndarray
    known: np.ndarray
    documents: Packed


@dataclass(frozen=True, slots=True)
class Best:
    """The k best places of q queries, best first, each by its best segment: (q, k) each; id -1 and -inf for none."""

    ids: np.ndarray
    places: np.ndarray
    scores: np.ndarray
    late: np.ndarray

    @classmethod
    def none(cls, queries: int, k: int) -> "Best":
        """Nothing found yet."""
        scores, late = (np.full((queries, k), -np.inf, np.float32) for _ in range(2))
        ids, places = (np.full((queries, k), -1, np.int64) for _ in range(2))
        return cls(ids, places, scores, late)


def best(queries: Ragged, blocks: Iterable[Block], k: int, weight: float = 1.0, *, prune: bool = True) -> Best:
    """The k best places by known + weight · late, a place counting as its best segment; equal ones by segment id.

    Holds a block at a time. Without `prune` every candidate is scored in full; the result is the same to the bit.
    """
    found = Best.none(len(queries.offsets) - 1, k)
    for block in blocks:
        wanted = np.isfinite(block.known)
        if prune and products.as_integers(block.documents.codec):
            wanted &= _hopeful(queries, block, found.scores[:, k - 1], k, weight)
        _merge(found, block, maxsim.late_where(queries, block.documents, wanted), wanted, weight)
    return found


def _hopeful(queries: Ragged, block: Block, floor: np.ndarray, k: int, weight: float) -> np.ndarray:
    """(q, n) bool: which segments may be a place's best among the best k, where `floor` (q,) is reached already."""
    glance = maxsim.late_where(queries, block.documents, np.isfinite(block.known), 1)
    middle = block.known + weight * glance.astype(np.float64)
    known = np.abs(np.where(np.isfinite(block.known), block.known, 0))
    spread = abs(weight) * maxsim.slack(queries, block.documents) + ROUNDING * (known + abs(weight))
    least = np.maximum(floor, [_kth(row, block.places, k) for row in middle - spread])
    hopeful: np.ndarray = middle + spread >= least[:, None]
    return hopeful


def _kth(scores: np.ndarray, places: np.ndarray, k: int) -> float:
    """The k-th best place's score, -inf where there are fewer."""
    for most in (AMONG * k, len(scores)):
        best = np.argpartition(-scores, most)[:most] if most < len(scores) else np.arange(len(scores))
        first = _distinct(best[np.argsort(-scores[best])], places, k)
        if len(first) == k:
            return float(scores[first[-1]])
    return -np.inf


def _distinct(order: np.ndarray, places: np.ndarray, k: int) -> np.ndarray:
    """The first k of `order` that are each the first of their place."""
    _, first = np.unique(places[order], return_index=True)
    return order[np.sort(first)][:k]


def _merge(found: Best, block: Block, late: np.ndarray, wanted: np.ndarray, weight: float) -> None:
    """Put the segments of a block that are among the best into `found`."""
    for row in range(len(found.ids)):
        at = np.flatnonzero(wanted[row])
        scores = block.known[row, at] + np.float32(weight) * late[row, at]
        ids = np.concatenate([found.ids[row], block.ids[at]])
        places = np.concatenate([found.places[row], block.places[at]])
        scores = np.concatenate([found.scores[row], scores])
        late_of = np.concatenate([found.late[row], late[row, at]])
        order = np.lexsort((ids, -scores))
        chosen = _distinct(order[ids[order] >= 0], places, found.ids.shape[1])
        for kept, values in zip((found.ids, found.places, found.scores, found.late), (ids, places, scores, late_of),
                                strict=True):  # fmt: skip
            kept[row, : len(chosen)] = values[chosen]
