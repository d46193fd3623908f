"""Near-duplicates against every pair by hand: the same pairs, counts and order, whatever the blocks."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smart_jobs.search import duplicates


def vectors(rows, dim=3, seed=0):
    """Few directions, so that some are near to each other and some are equal."""
    random = np.random.default_rng(seed)
    made = random.integers(-2, 3, (rows, dim)) + random.choice([0, 0.05], (rows, dim)) + 0.01
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


def by_hand(given, groups, least):
    pairs = []
    for left, right in combinations(range(len(given)), 2):
        cosine = np.round(float(given[left].astype(np.float64) @ given[right]), 6)
        if cosine >= least and (groups is None or groups[left] != groups[right]):
            pairs.append((left, right, cosine))
    return sorted(pairs, key=lambda pair: (-pair[2], pair[:2]))


def listed(pairs):
    return list(zip(pairs.left.tolist(), pairs.right.tolist(), strict=True))


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(0, 30),
    seed=st.integers(0, 1000),
    grouped=st.booleans(),
    block=st.integers(1, 12),
    least=st.floats(-0.5, 0.99),
)
def test_the_pairs_are_those_of_brute_force(rows, seed, grouped, block, least):
    given, groups = vectors(rows, seed=seed), np.arange(rows) // 3 if grouped else None
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(duplicates, "BLOCK", block)
        found = duplicates.near_duplicates(given, groups, least, None)
    sure = {pair[:2] for pair in by_hand(given, groups, least + 3e-6)}
    possible = {pair[:2]: pair[2] for pair in by_hand(given, groups, least - 3e-6)}
    assert sure <= set(listed(found)) <= set(possible)
    assert found.count == len(found.left) == len(set(listed(found)))
    for pair, cosine in zip(listed(found), found.cosine, strict=True):
        assert cosine == pytest.approx(possible[pair], abs=2e-6)
    assert (np.diff(found.cosine) <= 0).all()


@pytest.mark.parametrize("block", [2, 5, 100])
@pytest.mark.parametrize("limit", [1, 4, 1000])
def test_a_limit_keeps_the_closest_and_counts_all(monkeypatch, block, limit):
    monkeypatch.setattr(duplicates, "BLOCK", block)
    given = vectors(25, seed=3)
    every = duplicates.near_duplicates(given, None, 0.5, None)
    few = duplicates.near_duplicates(given, None, 0.5, limit)
    assert every.count > 4
    assert (few.count, len(few.left)) == (every.count, min(limit, every.count))
    np.testing.assert_allclose(few.cosine, every.cosine[:limit], atol=2e-6)


def test_equal_vectors_have_cosine_one_and_stand_in_the_order_of_their_rows():
    given = vectors(4, dim=384, seed=1)[[0, 1, 0, 2, 0]]
    found = duplicates.near_duplicates(given, None, 1.0, None)
    assert listed(found) == [(0, 2), (0, 4), (2, 4)]
    assert found.cosine.tolist() == [1.0, 1.0, 1.0]


def test_rows_of_one_group_make_no_pair():
    given = vectors(1)[[0, 0, 0]]
    assert listed(duplicates.near_duplicates(given, np.array([7, 8, 7]), 0.9, None)) == [(0, 1), (1, 2)]
