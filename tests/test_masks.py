"""Kinds of tokens and the masks over them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from smart_jobs import masks


@given(st.lists(st.integers(0, 6), max_size=50))
def test_runs_and_back(kinds):
    stored = masks.runs(np.array(kinds, np.uint8))
    assert masks.kinds(stored).tolist() == kinds
    assert all(a != b for a, b in zip(stored[::2], stored[2::2], strict=False)), "neighbouring runs differ"


@given(st.lists(st.integers(0, 6), max_size=50), st.sampled_from(sorted(masks.POLICIES)))
def test_a_mask_keeps_its_kinds_and_never_a_special_token(kinds, mask):
    kept = masks.keep(np.array(kinds, np.uint8), mask)
    assert kept.tolist() == [kind in masks.POLICIES[mask] and kind != masks.SPECIAL for kind in kinds]


def test_the_masks_nest():
    assert masks.POLICIES["visual"] < masks.POLICIES["content"] < masks.POLICIES["reference"]
    assert masks.POLICIES["text"] | masks.POLICIES["visual"] == masks.POLICIES["reference"]
