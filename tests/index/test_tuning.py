"""The fewest candidates that reach the aim, and the fewest lists for those: against trying all pairs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from smart_jobs.index import tuning


@pytest.mark.parametrize(
    ("lists", "tried"),
    [(1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (16, [1, 2, 4, 8, 16]), (100, [1, 2, 4, 8, 16, 32, 64, 100])],
)
def test_powers_of_two_and_all(lists, tried):
    assert tuning.ladder(lists) == tried


@given(
    measured=hnp.arrays(float, (5, len(tuning.DEPTHS)), elements=st.floats(0, 1)),
    target=st.floats(0.01, 1),
)
def test_the_choice_is_the_least_of_all_pairs_that_reach_it(measured, target):
    nprobes = tuning.ladder(16)
    pairs = [
        (candidates, nprobe)
        for row, nprobe in enumerate(nprobes)
        for column, candidates in enumerate(tuning.DEPTHS)
        if measured[row, column] >= target
    ]
    chosen = tuning.choose(measured, nprobes, target)
    assert chosen == (min(pairs)[::-1] if pairs else None)


def test_nothing_reaches_it():
    assert tuning.choose(np.full((1, len(tuning.DEPTHS)), 0.9), [1], 0.95) is None
