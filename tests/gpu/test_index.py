"""Lists trained on a GPU fit as well as the CPU's, and the index is searched without one."""

import faiss
import numpy as np
import pytest

from smart_jobs.index import devices, training

pytestmark = pytest.mark.skipif(not devices.gpus(), reason="faiss sees no GPU here")


def clustered(rows, dim):
    random = np.random.default_rng(0)
    centres = random.standard_normal((64, dim), np.float32)
    vectors = centres[random.integers(0, 64, rows)] + 0.3 * random.standard_normal((rows, dim), np.float32)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("factory", ["IVF64,PQ16x8np", "IVF64,SQ8"])
def test_training(factory, monkeypatch):
    vectors = clustered(20_000, 128)
    on_gpu = training.empty(factory, vectors)
    monkeypatch.setattr(devices, "gpus", lambda: 0)
    on_cpu = training.empty(factory, vectors)
    monkeypatch.undo()
    assert training.misfit(on_gpu, vectors) <= 1.02 * training.misfit(on_cpu, vectors)
    on_gpu.add(vectors)
    on_gpu.nprobe = 16
    restored = faiss.deserialize_index(faiss.serialize_index(on_gpu))
    assert devices.agreement(restored.search(vectors[:100], 10)[1], on_gpu.search(vectors[:100], 10)[1]) == 1.0
