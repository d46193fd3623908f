"""Batches under a budget: nothing lost, nothing padded for nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_jobs.encode.packing import batches

LENGTHS = st.lists(st.integers(1, 60), max_size=80)


def padded(lengths, packed):
    return sum(len(batch) * max(lengths[i] for i in batch) for batch in packed)


@given(LENGTHS, st.integers(1, 200))
def test_every_index_comes_once(lengths, budget):
    assert sorted(i for batch in batches(lengths, budget) for i in batch) == list(range(len(lengths)))


@given(LENGTHS, st.integers(1, 200))
def test_padded_tokens_stay_within_the_budget_or_a_batch_holds_one(lengths, budget):
    packed = batches(lengths, budget)
    assert all(batch for batch in packed)
    assert all(len(batch) == 1 or padded(lengths, [batch]) <= budget for batch in packed)


@given(LENGTHS, st.integers(1, 200))
def test_the_longest_come_first_and_equals_in_their_order(lengths, budget):
    order = [i for batch in batches(lengths, budget) for i in batch]
    assert order == sorted(order, key=lambda i: (-lengths[i], i))


@given(LENGTHS, st.integers(1, 200))
def test_a_batch_ends_only_where_one_more_would_break_the_budget(lengths, budget):
    packed = batches(lengths, budget)
    for batch in packed[:-1]:
        assert (len(batch) + 1) * lengths[batch[0]] > budget


@pytest.mark.parametrize("seed", range(5))
def test_little_is_padded_in_a_realistic_mix(seed):
    rng = np.random.default_rng(seed)
    passages, pages, titles = rng.normal(200, 40, 300), rng.lognormal(4.5, 0.8, 200), rng.integers(5, 20, 100)
    lengths = np.concatenate([passages, pages, titles]).clip(3, 256).astype(int)
    rng.shuffle(lengths)
    packed = batches(lengths.tolist(), 8192)
    assert lengths.sum() / padded(lengths, packed) >= 0.9
    assert len(packed) <= 1.2 * lengths.sum() / 8192 + 2
