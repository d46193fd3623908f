"""Recall, compared with a ranking by hand."""

import numpy as np
import pytest

from smart_jobs.index import build, check


def unit(n, dim, seed=0):
    """`n` unit vectors and as many ids."""
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(n, dim))
    vectors = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
    return rng.permutation(n).astype(np.int64) + 5, vectors


def recall_by_hand(index, ids, vectors, nprobe, k, rows):
    """Rank everything for each query by full sorts and Python sets."""
    index.nprobe = nprobe
    shares = []
    for row in rows:
        exact = [i for i in np.argsort(-(vectors @ vectors[row]), kind="stable") if i != row][:k]
        found = [i for i in index.search(vectors[row : row + 1], k + 1)[1][0] if i != ids[row]][:k]
        shares.append(len(set(ids[exact]) & set(found)) / k)
    return float(np.mean(shares))


@pytest.mark.parametrize("nprobe", [1, 4, 16])
@pytest.mark.parametrize("k", [1, 10])
def test_recall_equals_a_ranking_by_hand(nprobe, k, monkeypatch):
    monkeypatch.setattr(check, "CHUNK_ROWS", 333)
    ids, vectors = unit(1_200, 16)
    index = build.build(ids, vectors, build.plan(1_200, 16, factory="IVF16,PQ4x4np"))
    wanted = recall_by_hand(index, ids, vectors, nprobe, k, range(1_200))
    assert check.recall(index, ids, vectors, nprobe, k=k, queries=1_200) == (pytest.approx(wanted, abs=1e-9), 1_200)


def test_recall_grows_with_the_lists_visited():
    ids, vectors = unit(1_200, 16)
    index = build.build(ids, vectors, build.plan(1_200, 16))
    few, many = (check.recall(index, ids, vectors, nprobe)[0] for nprobe in (1, 16))
    assert few < 0.7 < many


def test_an_exact_index_is_perfect():
    ids, vectors = unit(300, 16)
    index = build.build(ids, vectors, build.plan(300, 16))
    assert check.recall(index, ids, vectors, 1) == (1.0, 200)


def test_the_sample_is_seeded():
    ids, vectors = unit(1_200, 16)
    index = build.build(ids, vectors, build.plan(1_200, 16, factory="IVF16,PQ4x4np"))
    first, again, other = (check.recall(index, ids, vectors, 2, queries=40, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_any_of_equal_vectors_counts():
    ids, vectors = unit(3, 16)
    vectors = np.repeat(vectors, 50, axis=0)
    ids = np.random.default_rng(1).permutation(150).astype(np.int64)
    index = build.build(ids, vectors, build.plan(150, 16))
    assert check.recall(index, ids, vectors, 1) == (1.0, 150)


@pytest.mark.parametrize(("n", "answer"), [(1, (1.0, 0)), (2, (1.0, 2)), (5, (1.0, 5))])
def test_fewer_vectors_than_k(n, answer):
    ids, vectors = unit(n, 16)
    index = build.build(ids, vectors, build.plan(n, 16))
    assert check.recall(index, ids, vectors, 1) == answer
