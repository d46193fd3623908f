"""Batches under a budget: nothing lost, and at the least cost of all ways to cut the sorted lengths."""

import itertools

import numpy as np
import pytest
from corpora import mixed, units
from hypothesis import given
from hypothesis import strategies as st

from smart_jobs.encode.packing import OVERHEAD, batches

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


def cuts(items):
    """Every way to cut a list into stretches."""
    for marks in itertools.product([False, True], repeat=max(0, len(items) - 1)):
        ends = [i + 1 for i, cut in enumerate(marks) if cut] + [len(items)]
        yield [items[start:end] for start, end in zip([0, *ends], ends, strict=False)]


@given(st.lists(st.integers(1, 400), min_size=1, max_size=9), st.integers(1, 1500))
def test_no_other_cut_costs_less(lengths, budget):
    ordered = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    allowed = (cut for cut in cuts(ordered) if all(len(b) == 1 or padded(lengths, [b]) <= budget for b in cut))
    least = min(padded(lengths, cut) + OVERHEAD * len(cut) for cut in allowed)
    packed = batches(lengths, budget)
    assert padded(lengths, packed) + OVERHEAD * len(packed) == least


def packed_by_units(lengths, budget):
    """Useful over computed tokens, and passes, of a corpus that comes in units."""
    cut = [[unit[i] for i in batch] for unit in units(lengths, 32768) for batch in batches(unit, budget)]
    return sum(lengths) / sum(len(batch) * max(batch) for batch in cut), len(cut)


@pytest.mark.parametrize("budget", [4096, 8192, 16384])
@pytest.mark.parametrize("seed", range(5))
def test_of_pages_images_clips_and_texts_nearly_every_computed_token_is_useful(seed, budget):
    """At least 0.98 of them, though there are at most half as many passes as items."""
    lengths = mixed(seed, 1200)
    useful, passes = packed_by_units(lengths, budget)
    assert useful >= 0.98
    assert passes <= len(lengths) / 2


@pytest.mark.parametrize("seed", range(5))
def test_short_texts_share_passes_though_that_pads_some(seed):
    """Each costs less than a pass does: most of what is computed is useful still, in passes of a dozen and more."""
    rng = np.random.default_rng(seed)
    passages, pages, titles = rng.normal(200, 40, 300), rng.lognormal(4.5, 0.8, 200), rng.integers(5, 20, 100)
    lengths = np.concatenate([passages, pages, titles]).clip(3, 256).astype(int)
    rng.shuffle(lengths)
    useful, passes = packed_by_units(lengths.tolist(), 8192)
    assert useful >= 0.95
    assert passes <= len(lengths) / 12
