"""Pixels put away, against the same pixels kept in a list."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smart_jobs.decode import spool
from smart_jobs.decode.spool import Spool
from smart_jobs.records import Visual


def made(seed, shape, times=()):
    return Visual("image", np.random.default_rng(seed).integers(0, 256, shape, np.uint8), times)


@given(
    st.lists(st.tuples(*[st.integers(1, 6)] * 3), min_size=1, max_size=12),
    st.integers(0, 3000),
    st.randoms(use_true_random=False),
)
@settings(max_examples=80, deadline=None)
def test_whatever_is_put_away_comes_back_in_any_order(shapes, left_alone, random):
    visuals = [made(i, (*shape, 3), (float(i),)) for i, shape in enumerate(shapes)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spool, "AS_THEY_ARE", left_alone)
        kept = Spool()
    places = [kept.keep(visual) for visual in visuals]
    assert sum(place.pixels.nbytes for place in places if place.pixels is not None) <= left_alone
    order = list(range(len(shapes)))
    random.shuffle(order)
    for i in order:
        again = kept.visual(places[i])
        assert (again.kind, again.times, again.pixels.tolist()) == ("image", (float(i),), visuals[i].pixels.tolist())
        assert again.pixels.flags.c_contiguous


def test_what_is_too_much_for_memory_goes_to_a_file_and_comes_back():
    kept = Spool()
    large = [made(i, (1, 1100, 7000, 3)) for i in range(7)]
    assert sum(visual.pixels.nbytes for visual in large[2:]) > spool.IN_MEMORY > 2 * large[0].pixels.nbytes
    places = [kept.keep(visual) for visual in large]
    assert kept._file._rolled
    for place, visual in zip(places, large, strict=True):
        assert np.array_equal(kept.visual(place).pixels, visual.pixels)
