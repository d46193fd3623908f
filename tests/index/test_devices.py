"""What a GPU answers is taken only where it agrees; without one everything is the CPU's. On a GPU: tests/gpu."""

import faiss
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from smart_jobs.index import devices

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
