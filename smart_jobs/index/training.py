"""A sample of vectors -> an empty index with its lists and codes trained, and how well the lists fit other vectors."""

import contextlib
from collections.abc import Iterator

import faiss
import numpy as np

from smart_jobs import progress
from smart_jobs.index import devices

SEED = 20_240_607

CHUNK_ROWS = 65_536
"""Vectors that are assigned in one go."""


def choose(ids: np.ndarray, rows: int) -> np.ndarray:
    """A seeded sample of sorted ids (n,), sorted; all where `rows` is all. Which files hold them plays no part."""
    if rows >= len(ids):
        return ids
    return ids[np.sort(np.random.default_rng(SEED).choice(len(ids), rows, replace=False))]


def empty(factory: str, sample: np.ndarray) -> faiss.Index:
    """An index of `factory` without vectors, trained on `sample` (n, d) float32; `Flat` takes only d from it.

    The same sample gives the same bytes on the same kind of CPU. Raises ValueError where there are fewer than lists.
    """
    dim = sample.shape[1]
    if not factory.startswith("IVF"):
        return faiss.index_factory(dim, f"IDMap,{factory}", faiss.METRIC_INNER_PRODUCT)
    index = faiss.index_factory(dim, factory, faiss.METRIC_INNER_PRODUCT)
    _train(index, np.ascontiguousarray(sample))
    return index


def _train(index: faiss.IndexIVF, sample: np.ndarray) -> None:
    """Train lists, then codes. faiss's warnings are about sizes that `plan` has settled: they are switched off."""
    if len(sample) < index.nlist:
        raise ValueError(f"{len(sample)} vectors cannot train {index.nlist} lists")
    index.cp.min_points_per_centroid = 1
    if hasattr(index, "pq"):
        index.pq.cp.min_points_per_centroid = 1
    if isinstance(index, faiss.IndexIVFPQ):
        index.do_polysemous_training = False
    centroids = _centroids(index, sample, devices.assigner(index.d))
    if centroids is None:
        progress.say("index: GPU and CPU do not agree about the nearest centroids; training on the CPU")
        centroids = _centroids(index, sample, faiss.IndexFlatIP(index.d))
    with _one_thread(), _blas_distances():
        index.quantizer.add(centroids)
        index.train(sample)


def _centroids(index: faiss.IndexIVF, sample: np.ndarray, assigner: faiss.Index) -> np.ndarray | None:
    """The lists' centroids by k-means, from its assigner: Clustering.centroids is out of reach beside pymupdf."""
    faiss.Clustering(index.d, index.nlist, index.cp).train(sample, assigner)
    return devices.centroids(assigner, sample)


def misfit(index: faiss.Index, vectors: np.ndarray) -> float | None:
    """Mean squared distance of `vectors` (n, d) from the centroids of their lists; None for none, or an exact index.

    Where it grows, vectors come in for which the lists were not made. It is smaller in what they were trained on.
    """
    if not isinstance(index, faiss.IndexIVF) or not len(vectors):
        return None
    total = 0.0
    for start in range(0, len(vectors), CHUNK_ROWS):
        chunk = np.ascontiguousarray(vectors[start : start + CHUNK_ROWS])
        lists = index.quantizer.search(chunk, 1)[1][:, 0]
        total += float(((chunk - index.quantizer.reconstruct_batch(lists)) ** 2).sum(dtype=np.float64))
    return total / len(vectors)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """No OpenMP: PQ's tiny k-means wait at barriers (two busy cores: 14 s, not 0.7), and HNSW promises no order."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


@contextlib.contextmanager
def _blas_distances() -> Iterator[None]:
    """k-means by matrix products: faiss 1.15 takes a loop, ten times slower, while rows · dim < 128,000 (#5022)."""
    before = faiss.cvar.distance_compute_blas_threshold
    faiss.cvar.distance_compute_blas_threshold = 20
    try:
        yield
    finally:
        faiss.cvar.distance_compute_blas_threshold = before
