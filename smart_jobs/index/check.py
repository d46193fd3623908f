"""How good an index is: recall against exact search, on the stored vectors themselves."""

import faiss
import numpy as np

from smart_jobs.index.build import search_parameters

CHUNK_ROWS = 32_768
"""Vectors that are scored exactly in one go: 32,768 · 200 queries · 4 bytes = 26 MB, and twice that to select."""

TIE = 1e-6
"""Scores that differ by less are equal: float32 products differ that much with the order of their sums."""


def recall(
    index: faiss.Index,
    ids: np.ndarray,
    vectors: np.ndarray,
    nprobe: int,
    k: int = 10,
    queries: int = 200,
    seed: int = 0,
) -> tuple[float, int]:
    """Recall@k of visiting `nprobe` lists, and the number of queries: a seeded sample of the stored `vectors` (n, d).

    `ids` (n,) and `vectors` are what the index was built from, in any order. A query is not an answer to itself; any
    of several vectors with the score of the exact k-th counts as found. Where there are fewer than k others, all of
    them are wanted; without any, the answer is (1.0, 0).
    """
    k = min(k, len(ids) - 1)
    if k < 1:
        return 1.0, 0
    rows = np.sort(np.random.default_rng(seed).choice(len(ids), min(queries, len(ids)), replace=False))
    worst = _kth_scores(vectors, rows, k)
    found = index.search(vectors[rows], k + 1, params=search_parameters(index, nprobe))[1]
    order = np.argsort(ids)
    hits = 0
    for row, answer, floor in zip(rows, found, worst, strict=True):
        others = answer[(answer >= 0) & (answer != ids[row])][:k]
        exact = vectors[order[np.searchsorted(ids, others, sorter=order)]] @ vectors[row]
        hits += int((exact >= floor - TIE).sum())
    return hits / (k * len(rows)), len(rows)


def _kth_scores(vectors: np.ndarray, rows: np.ndarray, k: int) -> np.ndarray:
    """The exact k-th best score (q,) of the vectors at `rows` over all others, a chunk at a time."""
    best = np.full((len(rows), k), -np.inf, dtype=np.float32)
    for start in range(0, len(vectors), CHUNK_ROWS):
        scores = vectors[rows] @ vectors[start : start + CHUNK_ROWS].T
        inside = np.flatnonzero((rows >= start) & (rows < start + CHUNK_ROWS))
        scores[inside, rows[inside] - start] = -np.inf
        best = np.partition(np.concatenate([best, scores], axis=1), -k, axis=1)[:, -k:]
    return np.asarray(best.min(axis=1))
