"""How good the answers of an index are: recall against exact search, a batch of vectors at a time."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

Batches = Callable[[], Iterable[tuple[np.ndarray, np.ndarray]]]
"""Gives all ids (n,) int64 and vectors (n, d) float32, in batches; asked once for every pass."""

CHUNK_ROWS = 32_768
"""Vectors that are scored exactly in one go: 32,768 · 200 queries · 4 bytes = 26 MB, and twice that to select."""

TIE = 1e-6
"""Scores that differ by less are equal: float32 products differ that much with the order of their sums."""


def others(answers: np.ndarray, own: np.ndarray, wanted: int) -> np.ndarray:
    """The first `wanted` of each query's answers (q, m) that are not the query itself, `own` (q,); -1 for none."""
    kept = np.where(answers == own[:, None], -1, answers)
    order = np.argsort(kept < 0, axis=1, kind="stable")
    return np.take_along_axis(kept, order, axis=1)[:, :wanted]


def recalls(
    queries: np.ndarray,
    own: np.ndarray,
    answers: Sequence[np.ndarray],
    depths: Sequence[int],
    batches: Batches,
    k: int = 10,
    allowed: np.ndarray | None = None,
) -> np.ndarray:
    """The share of the exact `k` nearest that is among the first so many answers, (answers, depths) float64.

    `queries` (q, d) are compared with all vectors whose ids are in `allowed` (sorted; None: all), in one pass. A query
    that is itself stored, under its id in `own` (-1: it is not), is no answer to itself. Any of several vectors with
    the score of the exact k-th counts as found. Where there are fewer than k, all of them are wanted; where there are
    none, the answer is 1.
    """
    best = np.full((len(queries), k), -np.inf, np.float32)
    scores = [np.full(found.shape, -np.inf, np.float32) for found in answers]
    for ids, vectors in _chunks(batches, allowed):
        exact = queries @ vectors.T
        exact[own[:, None] == ids] = -np.inf
        best = np.partition(np.concatenate([best, exact], axis=1), -k, axis=1)[:, -k:]
        for found, into in zip(answers, scores, strict=True):
            _look_up(found, ids, exact, into)
    wanted = np.isfinite(best).sum(axis=1)
    floor = np.where(np.isfinite(best), best, np.inf).min(axis=1) - TIE
    hits = [[np.minimum((into[:, :depth] >= floor[:, None]).sum(axis=1), np.minimum(wanted, depth)).sum()
             for depth in depths] for into in scores]  # fmt: skip
    return np.array(hits, np.float64) / wanted.sum() if wanted.sum() else np.ones((len(answers), len(depths)))


def _chunks(batches: Batches, allowed: np.ndarray | None) -> Iterable[tuple[np.ndarray, np.ndarray]]:
    """Ids, sorted, and vectors of those that are allowed, `CHUNK_ROWS` at a time."""
    for ids, vectors in batches():
        keep = np.argsort(ids)
        if allowed is not None:
            keep = keep[np.isin(ids[keep], allowed)]
        for start in range(0, len(keep), CHUNK_ROWS):
            rows = keep[start : start + CHUNK_ROWS]
            yield ids[rows], vectors[rows]


def _look_up(found: np.ndarray, ids: np.ndarray, exact: np.ndarray, into: np.ndarray) -> None:
    """Put the exact scores (q, n) of the sorted `ids` (n,) where they were found."""
    at = np.searchsorted(ids, found).clip(max=len(ids) - 1)
    query, place = np.nonzero(ids[at] == found)
    into[query, place] = exact[query, at[query, place]]
