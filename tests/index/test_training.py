"""The sample does not depend on files, and the misfit of vectors is their distance from their lists."""

import faiss
import numpy as np
import pytest

from smart_jobs.index import training


def clustered(n, dim):
    """`n` unit vectors around n / 50 centres."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(n // 50, dim))[rng.integers(0, n // 50, n)] + 0.6 * rng.normal(size=(n, dim))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


def test_the_sample_is_seeded_sorted_and_without_doubles():
    ids = np.sort(np.random.default_rng(0).permutation(10**6)[:5_000])
    first, again = (training.choose(ids, 700) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert len(set(first.tolist())) == 700
    assert (np.diff(first) > 0).all()
    assert np.isin(first, ids).all()
    assert training.choose(ids, 9_999) is ids


def test_misfit_is_the_mean_squared_distance_from_the_nearest_centroid(monkeypatch):
    monkeypatch.setattr(training, "CHUNK_ROWS", 333)
    vectors = clustered(1_000, 16)
    index = training.empty("IVF16,SQ8", vectors)
    centroids = index.quantizer.reconstruct_n(0, 16)
    nearest = centroids[np.argmax(vectors @ centroids.T, axis=1)]
    assert training.misfit(index, vectors) == pytest.approx(float(((vectors - nearest) ** 2).sum(axis=1).mean()))


def test_vectors_from_elsewhere_fit_worse():
    vectors = clustered(2_000, 16)
    index = training.empty("IVF16,SQ8", vectors[:1_000])
    elsewhere = np.roll(np.abs(vectors[:200]), 5, axis=1)
    assert training.misfit(index, elsewhere) > 1.1 * training.misfit(index, vectors[1_000:])


def test_there_is_no_misfit_without_lists_or_vectors():
    vectors = clustered(100, 16)
    assert training.misfit(training.empty("Flat", vectors), vectors) is None
    assert training.misfit(training.empty("IVF4,SQ8", vectors), vectors[:0]) is None


@pytest.mark.parametrize("factory", ["IVF16,PQ4x4", "IVF16,PQ4x4np"])
def test_no_polysemous_training(factory):
    index = training.empty(factory, clustered(1_000, 16))
    assert isinstance(index, faiss.IndexIVFPQ)
    assert not index.do_polysemous_training
