"""Numbers as colours."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sheets import LETTERS, noise, redness

from smart_jobs.draw import heat
from smart_jobs.draw.heat import Scale

VALUES = st.lists(st.floats(-1, 1), min_size=1, max_size=20)


@given(VALUES)
def test_a_scale_goes_from_the_least_to_the_greatest(values):
    array = np.array(values)
    scale = heat.scale_of(array)
    found = scale.heat(array)
    if array.max() > array.min():
        assert ((found >= 0) & (found <= 1)).all()
        assert (found[array.argmin()], found[array.argmax()]) == (0, 1)
    else:
        assert (found == 0).all()
    assert Scale(0.0, 0.0).heat(array).tolist() == [0] * len(values)


def test_what_is_beyond_the_ends_is_as_hot_as_they_are():
    assert Scale(0.0, 1.0).heat(np.array([-1.0, 0.5, 2.0])).tolist() == [0, 0.5, 1]


@pytest.mark.parametrize("below", [255.0, 128.0])
def test_more_heat_is_more_red_and_none_leaves_what_is_below(below):
    steps = heat.laid(np.linspace(0, 1, 11), np.full((11, 3), below))
    assert (steps[0] == below).all()
    assert (np.diff(redness(steps).astype(int)) > 0).all()


def test_a_picture_without_heat_is_grey_and_pale():
    pixels = noise(16, 24)[0]
    shown = np.asarray(heat.over(pixels, np.zeros((2, 3)), 8))
    assert shown.shape == (16, 24, 3)
    assert (redness(shown) == 0).all()
    assert shown.min() >= np.floor(255 * heat.PALE)


def test_each_patch_is_as_many_pixels_a_side_as_it_is_told():
    values = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 0.5]])
    shown = redness(np.asarray(heat.over(np.full((16, 24, 3), 128, np.uint8), values, 10)))
    assert shown.shape == (20, 30)
    assert (shown[:10, 10:20] == shown.max()).all()
    assert (shown[10:, 20:] > 0).all()
    assert (shown[:10, :10] == 0).all()
    assert (shown[10:, :20] == 0).all()


def test_the_scale_is_drawn_from_cold_to_hot():
    red = redness(np.asarray(heat.bar(Scale(-0.25, 0.5), LETTERS)))[8]
    [at] = [np.flatnonzero(red > 10)]
    assert (np.diff(red[at]) >= 0).mean() > 0.9
    assert red[at[-1]] == red.max()
