"""The first stage of a search: candidates by their pooled vector, from the faiss index."""

import faiss
import numpy as np

from smart_jobs.index import devices
from smart_jobs.index.build import search_parameters

CANDIDATES = 200
"""Segments that stage one passes on, unless the index was tuned or the user says."""

RERANKED = 4
"""Answers of the index for each candidate that is left after they are put in the order of their stored vectors."""

FEW = 64
"""A filter that lets through fewer than this times k ids is answered from all lists: nothing is saved by skipping."""


def candidates(
    index: faiss.Index,
    queries: np.ndarray,
    k: int,
    nprobe: int,
    allowed: np.ndarray | None = None,
    on_gpu: faiss.Index | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The k best ids (q, k) int64 and scores (q, k) float32 for `queries` (q, d) float32, best first.

    Only ids in `allowed` (sorted int64) are answered, where it is given. A query that finds fewer than k in its
    `nprobe` lists is asked again in all of them, so a filter never starves it; where there are still fewer, ids are
    -1 and scores -inf. Scores are inner products, as exact as the codes are. `on_gpu` is a copy of the index, asked in
    its place where it can be. Raises ValueError for wrong shapes.
    """
    if queries.ndim != 2 or queries.shape[1] != index.d or k < 1:
        raise ValueError(f"wanted k ≥ 1 and queries (q, {index.d}), not k={k} and {queries.shape}")
    queries = np.ascontiguousarray(queries, dtype=np.float32)
    if allowed is not None and len(allowed) == 0:
        return np.full((len(queries), k), -1, dtype=np.int64), np.full((len(queries), k), -np.inf, dtype=np.float32)
    selector = None if allowed is None else faiss.IDSelectorBatch(np.ascontiguousarray(allowed, dtype=np.int64))
    lists = index.nlist if isinstance(index, faiss.IndexIVF) else 1
    probes = lists if allowed is not None and len(allowed) < FEW * k else min(nprobe, lists)
    ids, scores = _search(index, queries, k, probes, selector, on_gpu)
    short = np.flatnonzero(ids[:, -1] < 0)
    if len(short) and probes < lists:
        ids[short], scores[short] = _search(index, queries[short], k, lists, selector, on_gpu)
    return ids, scores


def present(
    index: faiss.Index,
    queries: np.ndarray,
    k: int,
    nprobe: int,
    there: np.ndarray,
    on_gpu: faiss.Index | None = None,
) -> np.ndarray:
    """The k best ids (q, k) int64 that are still `there` (sorted int64), best first; -1 where there are fewer.

    As `candidates` where most of what the index holds is allowed: more is fetched and what has gone is left out, until
    every query has k or has seen everything. Raises ValueError for wrong shapes.
    """
    if not len(there):
        return np.full((len(queries), k), -1, np.int64)
    fetched = k
    while True:
        fetched = min(fetched, max(index.ntotal, 1))
        found, _ = candidates(index, queries, fetched, nprobe, on_gpu=on_gpu)
        gone = there[np.searchsorted(there, found).clip(max=len(there) - 1)] != found
        found[gone] = -1
        if fetched >= index.ntotal or ((~gone).sum(axis=1) >= k).all():
            break
        fetched *= 2
    order = np.argsort(found < 0, axis=1, kind="stable")[:, :k]
    answer = np.full((len(queries), k), -1, np.int64)
    answer[:, : order.shape[1]] = np.take_along_axis(found, order, axis=1)
    return answer


def _search(
    index: faiss.Index,
    queries: np.ndarray,
    k: int,
    nprobe: int,
    selector: faiss.IDSelector | None,
    on_gpu: faiss.Index | None,
) -> tuple[np.ndarray, np.ndarray]:
    """One faiss search; faiss fills up with the lowest float32, which is no score."""
    if on_gpu is not None and selector is None and max(k, nprobe) <= devices.MOST:
        scores, ids = devices.search(on_gpu, index, queries, k, nprobe)
    else:
        scores, ids = index.search(queries, k, params=search_parameters(index, nprobe, selector))
    scores[ids < 0] = -np.inf
    return ids, scores
