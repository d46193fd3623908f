"""Candidates and their filter, compared with numpy."""

import numpy as np
import pytest

from smart_jobs.index import build
from smart_jobs.search.ann import candidates, present

DIM = 16
FACTORIES = ("Flat", "IVF16,Flat", "IVF16_HNSW32,Flat", "IVF32,PQ16x4np", "IVF16_HNSW32,PQ16x4np")
EXACT = FACTORIES[:3]


@pytest.fixture(scope="module")
def corpus():
    """1,500 unit vectors around 30 centres, their ids (up to 2⁶²) and their centres."""
    rng = np.random.default_rng(0)
    of = rng.integers(0, 30, 1_500)
    points = rng.normal(size=(30, DIM))[of] + 0.5 * rng.normal(size=(1_500, DIM))
    vectors = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
    return rng.permutation(np.unique(rng.integers(1, 2**62, 3_000)))[:1_500], vectors, of


@pytest.fixture(scope="module")
def indexes(corpus):
    ids, vectors, _ = corpus
    return {name: build.build(ids, vectors, build.plan(1_500, DIM, factory=name)) for name in FACTORIES}


def exact(corpus, queries, k, allowed=None):
    """Ids and scores by sorting everything that is allowed."""
    ids, vectors, _ = corpus
    keep = np.ones(len(ids), dtype=bool) if allowed is None else np.isin(ids, allowed)
    scores = queries @ vectors[keep].T
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    found = np.full((len(queries), k), -1, dtype=np.int64)
    best = np.full((len(queries), k), -np.inf, dtype=np.float32)
    found[:, : order.shape[1]] = ids[keep][order]
    best[:, : order.shape[1]] = np.take_along_axis(scores, order, axis=1)
    return found, best


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("share", [None, 0.9, 0.3, 0.01, 0.002])
@pytest.mark.parametrize("k", [1, 10, 100])
def test_uncompressed_indexes_equal_numpy(corpus, indexes, name, share, k):
    ids, vectors, _ = corpus
    allowed = None
    if share is not None:
        allowed = np.sort(np.random.default_rng(1).choice(ids, int(share * len(ids)), replace=False))
    queries = vectors[:64]
    found, scores = candidates(indexes[name], queries, k, nprobe=16, allowed=allowed)
    wanted, best = exact(corpus, queries, k, allowed)
    assert (found.dtype, scores.dtype) == (np.int64, np.float32)
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_allclose(scores, best, atol=1e-6)


@pytest.mark.parametrize("name", FACTORIES)
@pytest.mark.parametrize("size", [1, 9, 10, 11, 200, 700, 1_500])
@pytest.mark.parametrize("nprobe", [1, 4, 1_000])
def test_the_filter_is_exact_and_never_starves(corpus, indexes, name, size, nprobe):
    ids, vectors, _ = corpus
    allowed = np.sort(np.random.default_rng(size).choice(ids, size, replace=False))
    found, scores = candidates(indexes[name], vectors[:40], 10, nprobe, allowed)
    assert np.isin(found[found >= 0], allowed).all()
    assert ((found >= 0).sum(axis=1) == min(10, size)).all()
    assert all(len(set(row[row >= 0])) == min(10, size) for row in found)
    np.testing.assert_array_equal(found < 0, scores == -np.inf)
    assert (scores[:, :-1] >= scores[:, 1:]).all()


@pytest.mark.parametrize("name", FACTORIES)
def test_a_filter_whose_rows_are_all_far_away_is_answered(corpus, indexes, name):
    ids, vectors, of = corpus
    allowed = np.sort(ids[of < 20])
    queries = vectors[of >= 20]
    assert len(allowed) >= 64 * 5
    found, _ = candidates(indexes[name], queries, 5, nprobe=1, allowed=allowed)
    assert np.isin(found, allowed).all()


@pytest.mark.parametrize("name", EXACT)
def test_a_narrow_filter_is_answered_from_all_lists(corpus, indexes, name):
    ids, vectors, _ = corpus
    allowed = np.sort(np.random.default_rng(3).choice(ids, 120, replace=False))
    found, _ = candidates(indexes[name], vectors[:200], 2, nprobe=1, allowed=allowed)
    np.testing.assert_array_equal(found, exact(corpus, vectors[:200], 2, allowed)[0])


@pytest.mark.parametrize("name", FACTORIES)
def test_nothing_allowed_nothing_found(corpus, indexes, name):
    found, scores = candidates(indexes[name], corpus[1][:3], 4, 2, np.array([], dtype=np.int64))
    assert (found == -1).all()
    assert (scores == -np.inf).all()
    assert found.shape == scores.shape == (3, 4)


@pytest.mark.parametrize("name", FACTORIES)
def test_ids_that_the_index_does_not_know(corpus, indexes, name):
    ids, vectors, _ = corpus
    unknown = np.setdiff1d(np.arange(2**62, 2**62 + 50), ids)
    found, _ = candidates(indexes[name], vectors[:3], 4, 2, np.append(np.sort(ids[:2]), unknown))
    assert (np.sort(found, axis=1) == [-1, -1, *np.sort(ids[:2])]).all()


@pytest.mark.parametrize("name", FACTORIES)
def test_more_answers_wanted_than_one_list_holds(corpus, indexes, name):
    ids, vectors, _ = corpus
    found, _ = candidates(indexes[name], vectors[:5], 1_600, nprobe=1)
    assert (np.sort(found[:, :1_500], axis=1) == np.sort(ids)).all()
    assert (found[:, 1_500:] == -1).all()


def test_compressed_candidates_hold_the_exact_answers(corpus, indexes):
    queries = corpus[1][:200]
    found, _ = candidates(indexes["IVF32,PQ16x4np"], queries, 100, build.plan(1_500, DIM).nprobe)
    wanted, _ = exact(corpus, queries, 10)
    assert np.mean([len(set(a) & set(b)) for a, b in zip(wanted, found, strict=True)]) > 9.8


def test_filtered_compressed_candidates_hold_the_exact_answers(corpus, indexes):
    ids, vectors, _ = corpus
    allowed = np.sort(np.random.default_rng(2).choice(ids, 300, replace=False))
    found, _ = candidates(indexes["IVF32,PQ16x4np"], vectors[:200], 50, 1, allowed)
    wanted, _ = exact(corpus, vectors[:200], 10, allowed)
    assert np.mean([len(set(a) & set(b)) for a, b in zip(wanted, found, strict=True)]) > 9.8


def test_no_queries_give_no_rows(indexes):
    found, scores = candidates(indexes["Flat"], np.empty((0, DIM), dtype=np.float32), 3, 1)
    assert found.shape == scores.shape == (0, 3)


@pytest.mark.parametrize(("shape", "k"), [((2, DIM + 1), 3), ((DIM,), 3), ((2, DIM), 0)])
def test_wrong_shapes_are_refused(indexes, shape, k):
    with pytest.raises(ValueError, match="wanted k ≥ 1"):
        candidates(indexes["Flat"], np.zeros(shape, dtype=np.float32), k, 1)


@pytest.mark.parametrize("name", FACTORIES)
@pytest.mark.parametrize("size", [1, 9, 40, 700, 1_490, 1_500])
@pytest.mark.parametrize("k", [1, 10, 60])
def test_what_has_left_is_passed_over_and_enough_are_found(corpus, indexes, name, size, k):
    ids, vectors, _ = corpus
    there = np.sort(np.random.default_rng(size).choice(ids, size, replace=False))
    found = present(indexes[name], vectors[:40], k, 4, there)
    assert found.shape == (40, k)
    assert np.isin(found[found >= 0], there).all()
    assert ((found >= 0).sum(axis=1) == min(k, size)).all()
    assert all(len(set(row[row >= 0])) == min(k, size) for row in found)


@pytest.mark.parametrize("name", EXACT)
def test_what_is_still_there_comes_in_the_exact_order(corpus, indexes, name):
    ids, vectors, _ = corpus
    there = np.sort(np.random.default_rng(4).choice(ids, 900, replace=False))
    found = present(indexes[name], vectors[:40], 10, 32, there)
    np.testing.assert_array_equal(found, exact(corpus, vectors[:40], 10, there)[0])


def test_nothing_is_there_any_more(indexes, corpus):
    assert (present(indexes["Flat"], corpus[1][:3], 4, 1, np.array([], np.int64)) == -1).all()
