"""Heat over pixels: the patch that was met is the hottest place of the picture, and shows its own pixels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sheets import noise, of_visuals, redness

from smart_jobs.draw import patches
from smart_jobs.draw.heat import MARK, PALE
from smart_jobs.draw.sheet import SMALL
from smart_jobs.records import Visual

SIDE = 8
"""Pixels of a patch in the made-up visuals."""


def cell_of(rows, columns, limits):
    return max(2, min(limits[0] // columns, limits[1] // rows))


def small_map(sheet, i, rows, columns):
    """The (rows, columns, cell, cell, 3) pixels of each patch in the map of a query token, and its cell."""
    cell = cell_of(rows, columns, SMALL)
    top = sum(line.height + 3 for line in sheet.named(i)) + 1
    whole = np.asarray(patches.of_token(sheet, i))[top : top + rows * cell, 1 : 1 + columns * cell]
    return whole.reshape(rows, cell, columns, cell, 3).swapaxes(1, 2), cell


def whole_map(sheet, rows, columns):
    cell = cell_of(rows, columns, patches.WHOLE)
    pixels = np.asarray(patches.overall(sheet))[1 : 1 + rows * cell, 1 : 1 + columns * cell]
    return pixels.reshape(rows, cell, columns, cell, 3).swapaxes(1, 2), cell


def middles(cells):
    """The inner ninth of each patch, which frames and words leave alone."""
    third = cells.shape[2] // 3
    return cells[:, :, third:-third, third:-third]


def redness_of(cells):
    """(rows, columns) how red each patch is."""
    return redness(middles(cells)).mean(axis=(2, 3))


def greys(cells):
    """(rows, columns) how bright each patch is."""
    return middles(cells).mean(axis=(2, 3, 4))


GRIDS = st.tuples(st.integers(1, 3), st.integers(2, 5), st.integers(1, 7), st.integers(0, 10**6))


@settings(max_examples=25, deadline=None)
@given(GRIDS)
def test_the_patch_that_a_token_met_is_the_hottest_of_its_map(shape):
    t, rows, columns, drawn = shape
    target = drawn % (t * rows * columns)
    visual = Visual("video", noise(rows * SIDE, columns * SIDE, 2 * t, drawn), tuple(i / 2 for i in range(2 * t)))
    sheet = of_visuals([visual], [(t, rows, columns)], [target])
    cells, _ = small_map(sheet, 0, rows, columns)
    _, row, column = np.unravel_index(target, (t, rows, columns))
    found = redness_of(cells)
    assert np.unravel_index(found.argmax(), found.shape) == (row, column)
    assert np.delete(found.ravel(), found.argmax()).max() < found.max() / 2


@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, 4), (2, 0), (2, 3), (1, 1)])
def test_heat_lies_over_the_pixels_of_its_own_patch(row, column):
    """A white image with one black patch: where it is dark it is hot, on both maps, and framed."""
    pixels = np.full((1, 3 * SIDE, 5 * SIDE, 3), 255, np.uint8)
    pixels[0, row * SIDE : (row + 1) * SIDE, column * SIDE : (column + 1) * SIDE] = 0
    sheet = of_visuals([Visual("image", pixels)], [(1, 3, 5)], [row * 5 + column], ["x"])
    for cells, _ in (small_map(sheet, 0, 3, 5), whole_map(sheet, 3, 5)):
        found = [np.unravel_index(at, (3, 5)) for at in (greys(cells).argmin(), redness_of(cells).argmax())]
        assert found == [(row, column)] * 2


@pytest.mark.parametrize("target", range(6))
def test_the_patch_that_was_met_is_framed(target):
    sheet = of_visuals([Visual("image", noise(2 * SIDE, 3 * SIDE))], [(1, 2, 3)], [target])
    cells, cell = small_map(sheet, 0, 2, 3)
    image = cells.swapaxes(1, 2).reshape(2 * cell, 3 * cell, 3)
    rows, columns = np.nonzero((image == MARK).all(axis=-1))
    row, column = divmod(target, 3)
    found = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
    assert found == pytest.approx((row * cell, (row + 1) * cell, column * cell, (column + 1) * cell), abs=2)


def test_of_a_video_the_frame_is_shown_in_which_the_token_met_a_patch():
    """Frames of one grey each, two to a frame of the grid: the first of the two is seen, faded."""
    levels = (0, 250, 100, 250, 200, 250)
    frames = np.stack([np.full((3 * SIDE, 2 * SIDE, 3), level, np.uint8) for level in levels])
    visual = Visual("video", frames, tuple(map(float, range(6))))
    for group in range(3):
        sheet = of_visuals([visual], [(3, 3, 2)], [group * 6 + 5], ["x"])
        for cells, _ in (small_map(sheet, 0, 3, 2), whole_map(sheet, 3, 2)):
            assert greys(cells)[0, 0] == pytest.approx(255 - (255 - levels[2 * group]) * (1 - PALE), abs=3)


def test_the_map_of_the_whole_query_adds_up_what_met_a_patch_and_leaves_the_others_as_they_are():
    pixels = np.full((1, 2 * SIDE, 3 * SIDE, 3), 128, np.uint8)
    sheet = of_visuals([Visual("image", pixels)], [(1, 2, 3)], [1, 3, 3], ["", "", ""])
    assert sheet.met.received[3] == pytest.approx(2 * sheet.met.received[1])
    cells, _ = whole_map(sheet, 2, 3)
    hot = redness_of(cells)
    assert hot[1, 0] > hot[0, 1] > 20
    assert (np.delete(hot.ravel(), [1, 3]) == 0).all()


def test_only_frames_that_were_met_are_on_the_map_of_the_whole_query_and_not_too_many():
    few = Visual("video", noise(SIDE, SIDE, 20), tuple(map(float, range(20))))
    sheet = of_visuals([few], [(20, 1, 1)], [3, 17, 3])
    assert patches._most_met(np.ones((20, 1, 1)) * sheet.met.received[:, None, None]) == [3, 17]
    assert len(patches._most_met(np.arange(20.0).reshape(20, 1, 1))) == patches.FRAMES
    assert patches._most_met(np.zeros((2, 1, 1))) == [0]


def test_where_every_token_met_a_word_the_picture_is_there_all_the_same():
    pixels = noise(2 * SIDE, 2 * SIDE)
    sheet = of_visuals([Visual("image", pixels)], [(1, 2, 2)], [4], ["x"], said="ab")
    shown = np.asarray(patches.overall(sheet))
    line = np.asarray(sheet.letters.line(patches.NONE, 14, patches.GREY))
    assert (shown[: line.shape[0], : line.shape[1]] == line).all()
    assert (redness(shown[line.shape[0] : -40]) == 0).all()


def test_a_strip_is_drawn_though_it_is_wider_than_the_limits():
    sheet = of_visuals([Visual("image", noise(2, 400))], [(1, 2, 400)], [5])
    assert patches.of_token(sheet, 0).width == 802
