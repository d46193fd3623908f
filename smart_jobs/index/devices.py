"""Training's k-means and many queries' searches on GPUs, where faiss sees any and they agree with the CPU.

What is stored is a CPU index: files are the same wherever they were made, and are read where there is no GPU. Nothing
of this is tested on a GPU until tests/gpu has run on one.
"""

import faiss
import numpy as np

PROBES = 4_096
"""Vectors that CPU and GPU both look up before a GPU's answer is taken."""

AGREED = 0.99
"""Share of the looked-up answers that have to be the same. Sums of floats in another order swap near-equal ones."""

ASKED, ANSWERS = 64, 10
"""Stored vectors or centroids that CPU and GPU both search for before a GPU is searched on, and answers of each."""

MOST = 2_048
"""The most answers of a query, and lists that it visits, on a GPU: faiss refuses more."""


def gpus() -> int:
    """How many GPUs faiss sees; none in its CPU builds."""
    return int(faiss.get_num_gpus()) if hasattr(faiss, "get_num_gpus") else 0


def assigner(dim: int) -> faiss.Index:
    """An empty exact index on all GPUs, else on the CPU, for k-means to find nearest centroids with."""
    flat = faiss.IndexFlatIP(dim)
    return faiss.index_cpu_to_all_gpus(flat) if gpus() else flat


def centroids(trained: faiss.Index, sample: np.ndarray) -> np.ndarray | None:
    """The centroids (lists, d) float32 that k-means left in its assigner; None where a GPU assigns unlike the CPU."""
    if isinstance(trained, faiss.IndexFlat):
        return np.asarray(trained.reconstruct_n(0, trained.ntotal))
    flat = faiss.index_gpu_to_cpu(trained)
    probes = np.ascontiguousarray(sample[:PROBES])
    same = agreement(trained.search(probes, 1)[1], flat.search(probes, 1)[1])
    return np.asarray(flat.reconstruct_n(0, flat.ntotal)) if same >= AGREED else None


def copied(index: faiss.Index, nprobe: int) -> faiss.Index | None:
    """The index on the first GPU, beside the one that it was copied from; None where the CPU has to do.

    That is where faiss sees no GPU, where such an index is not to be had on one (4-bit fast-scan, RaBitQ, long PQ
    codes, lists found by a graph) or does not fit, and where its answers are not the CPU's. A worker sees the GPU that
    is its own as the first; faiss takes no parameters of a search that is spread over several.
    """
    if not gpus():
        return None
    probes, nprobe = _stored(index), min(nprobe, MOST)
    try:
        on_gpu = faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), 0, index)
        found = search(on_gpu, index, probes, ANSWERS, nprobe)[1]
    except RuntimeError:
        return None
    return on_gpu if agreement(found, search(index, index, probes, ANSWERS, nprobe)[1]) >= AGREED else None


def search(
    asked: faiss.Index, index: faiss.Index, queries: np.ndarray, k: int, nprobe: int
) -> tuple[np.ndarray, np.ndarray]:
    """Scores and ids (q, k) of `index`, from itself or its copy on a GPU, where k and `nprobe` are at most `MOST`."""
    lists = faiss.SearchParametersIVF(nprobe=nprobe) if isinstance(index, faiss.IndexIVF) else None
    scores, ids = asked.search(queries, k, params=lists)
    return scores, ids


def _stored(index: faiss.Index) -> np.ndarray:
    """(n, d) of the first centroids of its lists, or vectors of an exact index under ids."""
    flat = index.quantizer if isinstance(index, faiss.IndexIVF) else faiss.downcast_index(index.index)
    return np.asarray(flat.reconstruct_n(0, min(ASKED, flat.ntotal)))


def agreement(one: np.ndarray, other: np.ndarray) -> float:
    """The share of the ids (q, k) in `one` that are in the same row of `other` (q, k); 1.0 for no queries."""
    if not one.size:
        return 1.0
    return float((one[:, :, None] == other[:, None, :]).any(axis=2).mean())
