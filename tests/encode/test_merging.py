"""Token merging against Ward's method done by hand, and what may and may not change."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smart_jobs import codec
from smart_jobs.encode import checkpoint, encoder
from smart_jobs.encode.merging import merge
from smart_jobs.keys import Cut, Encoder
from smart_jobs.records import Segment


def random_states(n, dim=6, seed=0):
    return np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)


def by_hand(states, kept):
    """The clusters that joining the two of least further scatter leaves, as sets of rows."""
    rows = states.astype(np.float64) / np.linalg.norm(states.astype(np.float64), axis=1, keepdims=True)

    def scatter(members):
        return ((rows[members] - rows[members].mean(axis=0)) ** 2).sum()

    clusters = [[i] for i in range(len(rows))]
    while len(clusters) > kept:
        one, other = min(
            itertools.combinations(clusters, 2), key=lambda p: scatter(p[0] + p[1]) - scatter(p[0]) - scatter(p[1])
        )
        clusters = [c for c in clusters if c not in (one, other)] + [sorted(one + other)]
    return [rows[members].mean(axis=0) for members in sorted(clusters)]


@given(st.integers(1, 12), st.integers(1, 5), st.integers(0, 999))
@settings(max_examples=60, deadline=None)
def test_merging_is_wards_method_in_the_order_of_the_first_token(n, factor, seed):
    states = random_states(n, seed=seed)
    found = merge(states, factor)
    assert (found.shape, found.dtype) == ((-(-n // factor), 6), np.float32)
    np.testing.assert_allclose(found, by_hand(states, len(found)), atol=1e-6)


@given(st.integers(1, 30), st.integers(2, 9), st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_equal_distances_leave_just_as_many_states(n, factor, kinds):
    states = np.eye(max(kinds, 3), dtype=np.float32)[np.arange(n) % kinds]
    assert len(merge(states, factor)) == -(-n // factor)


def test_no_merging_gives_the_unit_vectors():
    states = random_states(7)
    np.testing.assert_array_equal(merge(states, 1), codec.unit(states))


def test_the_length_of_a_state_is_no_weight_and_zeros_are_states_too():
    states = random_states(9)
    np.testing.assert_allclose(
        merge(states * np.arange(1, 10, dtype=np.float32)[:, None], 3), merge(states, 3), atol=1e-6
    )
    assert np.isfinite(merge(np.concatenate([states, np.zeros((3, 6), np.float32)]), 4)).all()


def test_twice_the_same_gives_the_same_bits():
    states = random_states(200, 64)
    np.testing.assert_array_equal(merge(states, 3), merge(states.copy(), 3))


@pytest.mark.parametrize("factor", [1, 3])
def test_documents_are_merged_and_queries_are_not(tiny_encoder, factor):
    def load(pool_factor):
        spec, folder = checkpoint.resolve(Encoder(name="mine", model=str(tiny_encoder), pool_factor=pool_factor), Cut())
        return encoder.load(spec, folder, threads=1, batch_tokens=200)

    segments = [
        Segment(1, "a", "u", "s", "v", "row", 0, 1, None, "", text, side, "", {})
        for text, side in itertools.product(["a short one", "and a longer one of more tokens"], ["document", "query"])
    ]
    whole, merged = load(1).encode(segments), load(factor).encode(segments)
    for segment, before, after in zip(segments, whole, merged, strict=True):
        np.testing.assert_array_equal(after.pooled, before.pooled)
        wanted = merge(before.states, factor) if segment.side == "document" and factor > 1 else before.states
        np.testing.assert_array_equal(after.states, wanted)
        one, other = load(1).prompt(segment), load(factor).prompt(segment)
        assert (other.ids.tolist(), other.words()) == (one.ids.tolist(), one.words())
