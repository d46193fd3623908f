"""How far two embeddings of the same segments agree: by their neighbours, or vector by vector."""

from dataclasses import dataclass

import numpy as np

BLOCK = 1024
"""Rows whose cosines with as many others are held at a time: 4·BLOCK² bytes, 4 MiB, and what sorting them takes."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """For each of s sampled rows: the `share` (s,) of its k neighbours that both embeddings agree on.

    `nearest` (s, 2) is the row that is nearest under the one and under the other.
    """

    share: np.ndarray
    nearest: np.ndarray


def overlap(one: np.ndarray, other: np.ndarray, sample: np.ndarray, k: int) -> Overlap:
    """Compare the k nearest neighbours of the rows `sample` (s,) among all rows of `one` (n, d) and `other` (n, e).

    The vectors are of norm 1, row i of both is the same segment, and 0 < k < n. A row is no neighbour of itself; of
    equally near ones the first counts. 2·s·n·(d + e) operations.
    """
    shares, nearest = [np.empty(0)], [np.empty((0, 2), np.int64)]
    for start in range(0, len(sample), BLOCK):
        rows = sample[start : start + BLOCK]
        left, right = nearest_rows(one, rows, k), nearest_rows(other, rows, k)
        shares.append((left[:, :, None] == right[:, None, :]).any(axis=2).mean(axis=1))
        nearest.append(np.stack([left[:, 0], right[:, 0]], axis=1))
    return Overlap(np.concatenate(shares), np.concatenate(nearest))


def nearest_rows(vectors: np.ndarray, rows: np.ndarray, k: int) -> np.ndarray:
    """(r, k): the rows of `vectors` (n, d) nearest to each of `rows` (r,), nearest first, itself left out."""
    best = np.full((len(rows), k), -np.inf, np.float32)
    found = np.full((len(rows), k), -1, np.int64)
    for start in range(0, len(vectors), BLOCK):
        block = vectors[start : start + BLOCK]
        columns = np.arange(start, start + len(block))
        cosines = np.where(rows[:, None] == columns, -np.inf, vectors[rows] @ block.T)
        seen = np.concatenate([best, cosines], axis=1)
        names = np.concatenate([found, np.broadcast_to(columns, cosines.shape)], axis=1)
        order = _top(seen, k)
        best, found = np.take_along_axis(seen, order, axis=1), np.take_along_axis(names, order, axis=1)
    return found


def _top(scores: np.ndarray, k: int) -> np.ndarray:
    """(r, k): the columns of the k highest of each row of `scores` (r, c), best first, of equal ones the first.

    By partition rather than by sorting whole rows, which costs more than the products that they come from.
    """
    kth = np.partition(scores, -k, axis=1)[:, [-k]]
    above, equal = scores > kth, scores == kth
    room = k - above.sum(axis=1, keepdims=True)
    chosen = above | (equal & (np.cumsum(equal, axis=1) <= room))
    columns = np.nonzero(chosen)[1].reshape(len(scores), k)
    order = np.argsort(-np.take_along_axis(scores, columns, axis=1), axis=1, kind="stable")
    return np.take_along_axis(columns, order, axis=1)


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(n,): the cosine of each row of `one` (n, d) with the same row of `other` (n, d), whatever their norms."""
    norms = np.linalg.norm(one.astype(np.float64), axis=1) * np.linalg.norm(other.astype(np.float64), axis=1)
    dots = np.einsum("nd,nd->n", one, other, dtype=np.float64)
    return np.asarray(np.divide(dots, norms, out=np.zeros(len(one)), where=norms > 0))
