"""What a GPU answers is taken only where it agrees; without one everything is the CPU's. On a GPU: tests/gpu."""

import math

import faiss
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_jobs.index import build, devices
from smart_jobs.search import ann

rows = st.lists(st.lists(st.integers(0, 5), min_size=3, max_size=3, unique=True), min_size=1, max_size=5)


@given(rows, st.data())
def test_agreement_is_the_share_of_ids_found_in_both(one, data):
    other = data.draw(
        st.lists(st.permutations(range(6)).map(lambda row: row[:3]), min_size=len(one), max_size=len(one))
    )
    wanted = sum(len(set(a) & set(b)) for a, b in zip(one, other, strict=True)) / (3 * len(one))
    assert np.isclose(devices.agreement(np.array(one), np.array(other)), wanted)


def test_no_queries_agree():
    assert devices.agreement(np.empty((0, 3), np.int64), np.empty((0, 3), np.int64)) == 1.0


def test_centroids_are_those_of_the_assigner():
    sample = np.random.default_rng(0).standard_normal((200, 8), np.float32)
    flat = faiss.IndexFlatIP(8)
    faiss.Clustering(8, 4, faiss.ClusteringParameters()).train(sample, flat)
    found = devices.centroids(flat, sample)
    assert found.shape == (4, 8)
    nearest = np.argmax(sample @ found.T, axis=1)
    assert (np.bincount(nearest, minlength=4) > 0).all()


class Otherwise:
    """It is no flat index and answers in its own way, as a GPU might."""

    def search(self, vectors, k):
        return None, np.full((len(vectors), k), -1)


def test_an_assigner_that_answers_otherwise_is_not_believed(monkeypatch):
    flat = faiss.IndexFlatIP(8)
    flat.add(np.eye(8, dtype=np.float32))
    monkeypatch.setattr(faiss, "index_gpu_to_cpu", lambda _: flat)
    sample = np.random.default_rng(0).standard_normal((50, 8), np.float32)
    assert devices.centroids(Otherwise(), sample) is None


def test_without_a_gpu_the_cpu_assigns():
    if devices.gpus():
        return
    assert isinstance(devices.assigner(8), faiss.IndexFlatIP)


# An index that is copied to a GPU. The CPU's own index stands in for the copy.

ROWS, DIM = 1_500, 16


@pytest.fixture(scope="module")
def corpus():
    vectors = np.random.default_rng(1).standard_normal((ROWS, DIM), np.float32)
    return np.arange(ROWS) * 7 + 3, vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class Copy:
    """A copy of an index that notes how it is asked; `wrong` of its answers are none."""

    def __init__(self, index, wrong=0.0):
        self.index, self.wrong, self.asked = index, wrong, []

    def search(self, queries, k, params=None):
        self.asked.append((len(queries), k, params and params.nprobe))
        scores, ids = self.index.search(queries, k, params=params)
        ids[: math.ceil(self.wrong * len(ids))] = -1
        return scores, ids


def seen(monkeypatch, copy):
    """As if faiss saw a GPU, and `copy` made what lies on it."""
    monkeypatch.setattr(devices, "gpus", lambda: 1)
    monkeypatch.setattr(faiss, "StandardGpuResources", object, raising=False)
    monkeypatch.setattr(faiss, "index_cpu_to_gpu", lambda *asked: copy(asked[2]), raising=False)


@pytest.mark.parametrize("factory", ["Flat", "IVF16,SQ8", "IVF16_HNSW32,Flat"])
@pytest.mark.parametrize(("wrong", "taken"), [(0.0, True), (0.02, False), (1.0, False)])
def test_a_copy_is_taken_where_it_agrees(monkeypatch, corpus, factory, wrong, taken):
    index = build.build(*corpus, build.plan(ROWS, DIM, factory=factory))
    seen(monkeypatch, lambda index: Copy(index, wrong))
    assert (devices.copied(index, 4) is not None) == taken


def test_what_faiss_does_not_copy_stays_on_the_cpu(monkeypatch, corpus):
    def refuse(index):
        raise RuntimeError("This index type is not implemented on GPU.")

    index = build.build(*corpus, build.plan(ROWS, DIM, factory="IVF16,PQ8x4fs"))
    seen(monkeypatch, refuse)
    assert devices.copied(index, 4) is None


def test_without_a_gpu_nothing_is_copied(monkeypatch, corpus):
    monkeypatch.setattr(devices, "gpus", lambda: 0)
    monkeypatch.setattr(faiss, "index_cpu_to_gpu", None, raising=False)
    assert devices.copied(build.build(*corpus, build.plan(ROWS, DIM)), 4) is None


@pytest.mark.parametrize("factory", ["Flat", "IVF16,SQ8"])
def test_a_copy_is_asked_where_it_can_be(corpus, factory):
    """Not with a filter, and not for more than a GPU finds."""
    ids, vectors = corpus
    index = build.build(ids, vectors, build.plan(ROWS, DIM, factory=factory))
    copy, nprobe = Copy(index), None if factory == "Flat" else 4
    wanted = ann.candidates(index, vectors[:5], 10, 4)
    for found, other in zip(ann.candidates(index, vectors[:5], 10, 4, on_gpu=copy), wanted, strict=True):
        np.testing.assert_array_equal(found, other)
    assert copy.asked == [(5, 10, nprobe)]
    ann.present(index, vectors[:5], 10, 4, np.sort(ids), copy)
    assert copy.asked == [(5, 10, nprobe)] * 2
    ann.candidates(index, vectors[:5], 10, 4, np.sort(ids[:999]), copy)
    ann.candidates(index, vectors[:5], devices.MOST + 1, 4, on_gpu=copy)
    assert len(copy.asked) == 2
