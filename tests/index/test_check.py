"""Recall, compared with a ranking by hand."""

import numpy as np
import pytest

from smart_jobs.index import build, check


def measured(index, ids, vectors, nprobe, k=10, queries=200, seed=0):
    """Recall@k of an index for a seeded sample of what it holds, in two batches; and the number of queries."""
    rows = np.sort(np.random.default_rng(seed).choice(len(ids), min(queries, len(ids)), replace=False))
    found = index.search(vectors[rows], k + 1, params=build.search_parameters(index, nprobe))[1]
    answers = check.others(found, ids[rows], k)
    half = len(ids) // 2
    batches = [(ids[:half], vectors[:half]), (ids[half:], vectors[half:])]
    return float(check.recalls(vectors[rows], ids[rows], [answers], [k], lambda: batches, k)[0, 0]), len(rows)


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
    assert measured(index, ids, vectors, nprobe, k=k, queries=1_200) == (pytest.approx(wanted, abs=1e-9), 1_200)


def test_recall_grows_with_the_lists_visited():
    ids, vectors = unit(1_200, 16)
    index = build.build(ids, vectors, build.plan(1_200, 16))
    few, many = (measured(index, ids, vectors, nprobe)[0] for nprobe in (1, 16))
    assert few < 0.7 < many


def test_an_exact_index_is_perfect():
    ids, vectors = unit(300, 16)
    index = build.build(ids, vectors, build.plan(300, 16))
    assert measured(index, ids, vectors, 1) == (1.0, 200)


def test_the_sample_is_seeded():
    ids, vectors = unit(1_200, 16)
    index = build.build(ids, vectors, build.plan(1_200, 16, factory="IVF16,PQ4x4np"))
    first, again, other = (measured(index, ids, vectors, 2, queries=40, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_any_of_equal_vectors_counts():
    ids, vectors = unit(3, 16)
    vectors = np.repeat(vectors, 50, axis=0)
    ids = np.random.default_rng(1).permutation(150).astype(np.int64)
    index = build.build(ids, vectors, build.plan(150, 16))
    assert measured(index, ids, vectors, 1) == (1.0, 150)


@pytest.mark.parametrize(("n", "answer"), [(1, (1.0, 1)), (2, (1.0, 2)), (5, (1.0, 5))])
def test_fewer_vectors_than_k(n, answer):
    ids, vectors = unit(n, 16)
    index = build.build(ids, vectors, build.plan(n, 16))
    assert measured(index, ids, vectors, 1) == answer


def test_only_what_a_filter_lets_through_is_wanted():
    ids, vectors = unit(400, 16)
    allowed = np.sort(ids[::3])
    queries = vectors[:50]
    exact = [sorted(allowed, key=lambda i: -float(vectors[ids == i][0] @ query))[:10] for query in queries]
    own, batches = np.full(50, -1), lambda: [(ids, vectors)]
    found = check.recalls(queries, own, [np.array(exact)], [10, 5, 1], batches, 10, allowed)
    np.testing.assert_allclose(found, [[1.0, 0.5, 0.1]])
    everywhere = check.recalls(queries, own, [np.array(exact)], [10], batches, 10)
    assert everywhere[0, 0] < 0.7


@pytest.mark.parametrize("depth", [1, 10, 37])
def test_recall_grows_with_the_answers_that_are_passed_on(depth):
    ids, vectors = unit(1_200, 16)
    index = build.build(ids, vectors, build.plan(1_200, 16, factory="IVF16,PQ4x4np"))
    rows = np.arange(100)
    found = check.others(index.search(vectors[rows], 101)[1], ids[rows], 100)
    table = check.recalls(vectors[rows], ids[rows], [found, found[:, ::-1]], [depth, 100], lambda: [(ids, vectors)])
    exact = np.argsort(-(vectors[rows] @ vectors.T), axis=1)[:, 1:11]
    by_hand = np.mean([len(set(ids[e]) & set(f[:depth])) / 10 for e, f in zip(exact, found, strict=True)])
    assert table[0, 0] == pytest.approx(by_hand)
    assert table[0, 0] <= table[0, 1] == table[1, 1]


def test_a_query_is_no_answer_to_itself():
    answers = np.array([[5, 7, 9], [7, 5, -1]])
    np.testing.assert_array_equal(check.others(answers, np.array([7, 5]), 3), [[5, 9, -1], [7, -1, -1]])
