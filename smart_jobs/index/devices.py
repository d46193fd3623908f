"""The k-means of training on GPUs, where faiss sees any and they agree with the CPU.

What is stored is a CPU index: files are the same wherever they were made, and are read where there is no GPU.
"""

import faiss
import numpy as np

PROBES = 4_096
"""Vectors that CPU and GPU both look up before a GPU's answer is taken."""

AGREED = 0.99
"""Share of the looked-up answers that have to be the same. Sums of floats in another order swap near-equal ones."""


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


def agreement(one: np.ndarray, other: np.ndarray) -> float:
    """The share of the ids (q, k) in `one` that are in the same row of `other` (q, k); 1.0 for no queries."""
    if not one.size:
        return 1.0
    return float((one[:, :, None] == other[:, None, :]).any(axis=2).mean())
