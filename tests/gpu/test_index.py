"""Lists trained on a GPU fit as well as the CPU's; what a GPU has of an index answers as the CPU does."""

import faiss
import numpy as np
import pytest

from smart_jobs.index import build, devices, training
from smart_jobs.search import ann

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


@pytest.mark.parametrize("factory", ["Flat", "IVF64,Flat", "IVF64,SQ8", "IVF64,PQ16x8np"])
def test_searching(factory):
    vectors = clustered(20_000, 128)
    ids = np.random.default_rng(1).permutation(2**40 + np.arange(len(vectors)))
    index = build.build(ids, vectors, build.plan(*vectors.shape, factory=factory))
    on_gpu = devices.copied(index, 16)
    assert on_gpu is not None
    queries = vectors[:500] + 0.02 * clustered(500, 128)
    for k in (1, 100, devices.MOST):
        wanted = ann.candidates(index, queries, k, 16)
        found = ann.candidates(index, queries, k, 16, on_gpu=on_gpu)
        assert devices.agreement(found[0], wanted[0]) >= devices.AGREED
        same = found[0] == wanted[0]
        np.testing.assert_allclose(found[1][same], wanted[1][same], atol=1e-4)
    sorted_ids = np.sort(ids)
    there = ann.present(index, queries, 10, 16, sorted_ids[::2], on_gpu)
    assert devices.agreement(there, ann.present(index, queries, 10, 16, sorted_ids[::2])) >= devices.AGREED


@pytest.mark.parametrize("factory", ["IVF64,PQ16x4fs", "IVF64,RaBitQ", "IVF64_HNSW32,SQ8"])
def test_what_faiss_has_not_on_gpus_stays_on_the_cpu(factory):
    vectors = clustered(20_000, 128)
    index = build.build(np.arange(len(vectors)), vectors, build.plan(*vectors.shape, factory=factory))
    assert devices.copied(index, 16) is None
