"""States of segments in memory: without padding, decoded or as they are stored. Needs no table."""

from dataclasses import dataclass

import numpy as np

from smart_jobs.records import Codec


@dataclass(frozen=True, slots=True)
class Ragged:
    """States of s segments without padding: `values` (Σn, d) float32; segment i is values[offsets[i]:offsets[i+1]]."""

    values: np.ndarray
    offsets: np.ndarray


@dataclass(frozen=True, slots=True)
class Packed:
    """States of s segments as `codec` stores them, without padding; segment i is rows offsets[i]:offsets[i+1].

    `rows` (Σn, bytes of a row's codes) uint8, and `factors` (Σn,), none where the codec has none.
    """

    codec: Codec
    dim: int
    factors: np.ndarray
    rows: np.ndarray
    offsets: np.ndarray

    def take(self, segments: np.ndarray) -> "Packed":
        """A copy of some segments, in the order of their places (c,)."""
        bounds = [(self.offsets[i], self.offsets[i + 1]) for i in segments.tolist()]
        offsets = np.concatenate([[0], np.cumsum([end - begin for begin, end in bounds], dtype=np.int64)])
        rows = np.concatenate([self.rows[:0], *(self.rows[begin:end] for begin, end in bounds)])
        factors = np.concatenate([self.factors[:0], *(self.factors[begin:end] for begin, end in bounds)])
        return Packed(self.codec, self.dim, factors, rows, offsets)


def runs(ends: np.ndarray, most: int) -> list[tuple[int, int]]:
    """Runs [first, last) of n things that reach from ends[i] to ends[i+1], each of at most `most`, or of one thing."""
    found: list[tuple[int, int]] = []
    first, n = 0, len(ends) - 1
    while first < n:
        last = int(np.searchsorted(ends, ends[first] + most, side="right")) - 1
        last = min(max(last, first + 1), n)
        found.append((first, last))
        first = last
    return found
