"""The index holds what was given, finds what exact search finds, and refuses what faiss would take in silence."""

import re

import faiss
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_jobs.index import build
from smart_jobs.index.build import Plan, plan
from smart_jobs.records import UsageError

PRIMES = (11, 13, 97, 383, 1_021, 4_093)


def clustered(n, dim, seed=0):
    """`n` unit vectors around n / 50 centres, with positive ids up to 2⁶² in no order."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(max(n // 50, 1), dim))
    points = centres[rng.integers(0, len(centres), n)] + 0.6 * rng.normal(size=(n, dim))
    vectors = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
    return rng.permutation(np.unique(rng.integers(1, 2**62, 2 * n)))[:n], vectors


@given(
    vectors=st.one_of(st.integers(1, 20_000), st.integers(1, 10**9)),
    dim=st.one_of(st.integers(8, 4_096), st.sampled_from(PRIMES)),
)
def test_plans_can_be_trained_without_a_warning(vectors, dim):
    made = plan(vectors, dim)
    if vectors < 1_000:
        assert made.factory == "Flat"
        assert made.nprobe == 1
        assert f"{vectors:,} vectors" in made.why
        return
    lists, subs, bits = map(int, re.fullmatch(r"IVF(\d+)(?:_HNSW32)?,PQ(\d+)x(\d)np", made.factory).groups())
    rows = build.training_rows(made.factory, vectors, dim)
    assert dim % subs == 0
    assert lists & (lists - 1) == 0
    assert rows <= vectors
    assert rows >= 39 * lists
    assert rows >= 39 * 2**bits
    assert 1 <= made.nprobe <= lists
    assert 4 * dim * rows <= build.TRAINING_BYTES
    assert build.training_bytes(made.factory, vectors, dim) >= 4 * dim * rows


@pytest.mark.parametrize(
    ("vectors", "factory"),
    [
        (999, "Flat"),
        (1_000, "IVF16,PQ384x4np"),
        (1_500, "IVF32,PQ384x4np"),
        (9_999, "IVF256,PQ384x4np"),
        (10_000, "IVF256,PQ192x8np"),
        (999_999, "IVF4096,PQ192x8np"),
        (1_000_000, "IVF16384_HNSW32,PQ96x8np"),
        (10_000_000, "IVF65536_HNSW32,PQ48x8np"),
        (300_000_000, "IVF131072_HNSW32,PQ48x8np"),
    ],
)
def test_plan_at_the_edges_of_its_rules(vectors, factory):
    assert plan(vectors, 384).factory == factory


def test_the_users_factory_and_nprobe_win():
    made = plan(2_000, 64, factory="IVF8,PQ16x4np", nprobe=5)
    assert (made.factory, made.nprobe) == ("IVF8,PQ16x4np", 5)
    assert plan(2_000, 64, factory="IVF8,PQ16x4np", nprobe=500).nprobe == 8
    assert plan(5_000, 64, factory="Flat").factory == "Flat"


@pytest.mark.parametrize(
    ("factory", "says"),
    [
        ("IVF8,PQ15x4np", "faiss cannot make it for dimension 64"),
        ("nonsense", "faiss cannot make it"),
        ("IDMap,Flat", "it has to be Flat, or IVF"),
        ("OPQ16_64,IVF8,PQ16x4np", "it has to be Flat, or IVF"),
        ("IVF4096,PQ16x4np", "2,000 vectors cannot train 4,096 centroids"),
    ],
)
def test_a_factory_that_cannot_work_is_refused(factory, says):
    with pytest.raises(UsageError, match=re.escape(says)):
        plan(2_000, 64, factory=factory)


def test_no_list_to_visit_is_refused():
    with pytest.raises(UsageError, match="nprobe=0"):
        plan(2_000, 64, nprobe=0)


@pytest.mark.parametrize("n", [1, 7, 999])
def test_exact_index_equals_numpy(n):
    ids, vectors = clustered(n, 24)
    index = build.build(ids, vectors, plan(n, 24))
    scores, found = index.search(vectors[:20], min(n, 10))
    exact = vectors[:20] @ vectors.T
    best = np.argsort(-exact, axis=1, kind="stable")[:, : min(n, 10)]
    np.testing.assert_array_equal(found, ids[best])
    np.testing.assert_allclose(scores, np.take_along_axis(exact, best, axis=1), atol=1e-6)


@pytest.mark.parametrize(("n", "dim"), [(1_000, 64), (1_500, 96), (1_500, 97)])
def test_trained_index_finds_the_exact_neighbours_without_a_word(n, dim, capfd):
    ids, vectors = clustered(n, dim)
    made = plan(n, dim)
    index = build.build(ids, vectors, made)
    assert index.nprobe == made.nprobe
    assert sorted(ids.tolist()) == sorted(faiss_ids(index))
    _, found = index.search(vectors[:100], 100)
    best = ids[np.argsort(-(vectors[:100] @ vectors.T), axis=1)[:, :10]]
    assert np.mean([len(set(b) & set(f[:10])) for b, f in zip(best, found, strict=True)]) > 8.0
    assert np.mean([len(set(b) & set(f)) for b, f in zip(best, found, strict=True)]) > 9.9
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


def faiss_ids(index):
    """Every id in the inverted lists."""
    lists = index.invlists
    return [
        int(i)
        for at in range(index.nlist)
        if (size := lists.list_size(at))
        for i in faiss.rev_swig_ptr(lists.get_ids(at), size)
    ]


def test_eight_bit_codes_find_the_exact_neighbours():
    ids, vectors = clustered(10_000, 16)
    made = plan(10_000, 16)
    assert made.factory == "IVF256,PQ8x8np"
    _, found = build.build(ids, vectors, made).search(vectors[:100], 100)
    best = ids[np.argsort(-(vectors[:100] @ vectors.T), axis=1)[:, :10]]
    assert np.mean([len(set(b) & set(f)) for b, f in zip(best, found, strict=True)]) > 9.5


@pytest.mark.parametrize(
    "factory", [None, "Flat", "IVF64,PQ4x8", "IVF16,PQ16x4fs", "IVF512_HNSW32,PQ16x4np", "IVF16,SQ8"]
)
def test_the_same_input_gives_the_same_bytes(factory, capfd):
    ids, vectors = clustered(1_200, 32)
    made = plan(1_200, 32, factory=factory)
    first, second = (build.save(build.build(ids, vectors, made)) for _ in range(2))
    assert first == second
    assert build.save(build.load(first)) == first
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


def test_a_saved_index_answers_as_before():
    ids, vectors = clustered(1_200, 32)
    index = build.build(ids, vectors, plan(1_200, 32))
    again = build.load(build.save(index))
    assert type(again) is type(index)
    for before, after in zip(index.search(vectors[:50], 10), again.search(vectors[:50], 10), strict=True):
        np.testing.assert_array_equal(before, after)


def test_training_leaves_the_process_as_it_was():
    before = faiss.cvar.distance_compute_blas_threshold, faiss.omp_get_max_threads()
    ids, vectors = clustered(1_000, 16)
    build.build(ids, vectors, plan(1_000, 16))
    assert (faiss.cvar.distance_compute_blas_threshold, faiss.omp_get_max_threads()) == before


def test_training_takes_a_seeded_sample(monkeypatch):
    ids, vectors = clustered(3_000, 16)
    monkeypatch.setattr(build, "TRAINING_BYTES", 4 * 16 * 1_300)
    made = plan(3_000, 16)
    assert made.factory.startswith("IVF32,")
    assert build.training_rows(made.factory, 3_000, 16) == 1_300
    first, second = (build.build(ids, vectors, made) for _ in range(2))
    assert first.ntotal == 3_000
    assert build.save(first) == build.save(second)


@pytest.mark.parametrize("n", [50, 1_200])
@pytest.mark.parametrize(
    ("value", "says"),
    [(np.nan, "not finite"), (np.inf, "not finite"), (np.float32(3e38), "norm"), (2.0, "norm")],
)
def test_bad_vectors_are_refused_by_id(n, value, says):
    ids, vectors = clustered(n, 16)
    vectors[[17, 30], 3] = value
    with pytest.raises(ValueError, match=rf"id {ids[17]} .*{says}"):
        build.build(ids, vectors, plan(n, 16))


def test_a_zero_vector_is_refused_by_id():
    ids, vectors = clustered(50, 16)
    vectors[49] = 0
    with pytest.raises(ValueError, match=f"id {ids[49]} has norm 0, not 1"):
        build.build(ids, vectors, plan(50, 16))


def test_a_double_id_is_refused():
    ids, vectors = clustered(50, 16)
    ids[[20, 40]] = ids[3]
    with pytest.raises(ValueError, match=f"id {ids[3]} is there twice"):
        build.build(ids, vectors, plan(50, 16))


def test_wrong_types_and_shapes_are_refused():
    ids, vectors = clustered(50, 16)
    for pair in ((ids[:-1], vectors), (ids.astype(np.int32), vectors), (ids, vectors.astype(np.float64))):
        with pytest.raises(ValueError, match="wanted"):
            build.build(*pair, plan(50, 16))


def test_too_few_vectors_for_a_plan_made_for_more():
    ids, vectors = clustered(10, 16)
    with pytest.raises(ValueError, match="10 vectors cannot train 16 lists"):
        build.build(ids, vectors, Plan("IVF16,PQ16x4np", 4, "made for more"))
