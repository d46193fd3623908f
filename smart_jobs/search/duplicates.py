"""Pairs of near-duplicate segments: exact cosines, block by block."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

BLOCK = 2048
"""Rows of a block: its matrix of cosines is 4·BLOCK² bytes, 16 MiB."""

PLACES = 6
MARGIN = 10**-PLACES
"""More than rounding to `PLACES` can add: what is below by that much is not looked at again."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Rows `left` < `right` (p,) and their `cosine` (p,), closest first; `count` is how many there are in all."""

    left: np.ndarray
    right: np.ndarray
    cosine: np.ndarray
    count: int


def near_duplicates(vectors: np.ndarray, groups: np.ndarray | None, cosine: float, limit: int | None) -> Pairs:
    """Pairs of rows of `vectors` (n, d), float32 of norm 1, whose cosine is at least `cosine`; `limit` are kept.

    Cosines are rounded to six places, and so compared: float32 knows no more. Two rows of the same group (n,) make no
    pair. n²·d / 2 multiply-adds; holds a few blocks and `limit` pairs, or all pairs where it is None. Equal cosines
    are in the order of their rows.
    """
    kept = Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32), 0)
    for found in _blocks(vectors, groups, cosine):
        kept = _best(kept, found, limit)
    return kept


def _blocks(vectors: np.ndarray, groups: np.ndarray | None, least: float) -> Iterator[Pairs]:
    for top in range(0, len(vectors), BLOCK):
        for side in range(top, len(vectors), BLOCK):
            product = vectors[top : top + BLOCK] @ vectors[side : side + BLOCK].T
            rows, columns = np.nonzero(product >= least - MARGIN)
            cosine, left, right = np.round(product[rows, columns], PLACES), rows + top, columns + side
            close = (left < right) & (cosine >= np.float32(least))
            if groups is not None:
                close &= groups[left] != groups[right]
            yield Pairs(left[close], right[close], cosine[close], int(close.sum()))


def _best(kept: Pairs, found: Pairs, limit: int | None) -> Pairs:
    if not found.count:
        return kept
    left, right = np.concatenate([kept.left, found.left]), np.concatenate([kept.right, found.right])
    cosine = np.concatenate([kept.cosine, found.cosine])
    order = np.lexsort((right, left, -cosine))[:limit]
    return Pairs(left[order], right[order], cosine[order], kept.count + found.count)
