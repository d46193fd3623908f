"""Images put together: where each pixel ends up."""

import numpy as np
from PIL import Image

from smart_jobs.draw import tiles

RED, BLUE, GREEN = (255, 0, 0), (0, 0, 255), (0, 255, 0)


def block(width, height, colour):
    return Image.new("RGB", (width, height), colour)


def where(image, colour):
    """(left, top, right, bottom) of what has this colour."""
    rows, columns = np.nonzero((np.asarray(image) == colour).all(axis=-1))
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def test_a_stack_is_flush_left_and_a_row_flush_with_the_top():
    parts = [block(4, 3, RED), block(6, 5, BLUE)]
    stacked, row = tiles.stack(parts, 2), tiles.side_by_side(parts, 2)
    assert (stacked.size, where(stacked, RED), where(stacked, BLUE)) == ((6, 10), (0, 0, 4, 3), (0, 5, 6, 10))
    assert (row.size, where(row, RED), where(row, BLUE)) == ((12, 5), (0, 0, 4, 3), (6, 0, 12, 5))


def test_rows_are_broken_where_they_would_be_too_wide():
    parts = [block(4, 3, RED), block(4, 3, BLUE), block(4, 3, GREEN)]
    made = tiles.in_rows(parts, 10, 2)
    assert (made.size, where(made, BLUE), where(made, GREEN)) == ((10, 8), (6, 0, 10, 3), (0, 5, 4, 8))
    assert tiles.in_rows([block(20, 3, RED), block(4, 3, BLUE)], 10, 2).size == (20, 8)


def test_lines_and_margins_lie_around():
    framed, bordered = tiles.framed(block(4, 3, RED)), tiles.bordered(block(4, 3, RED), 5)
    assert (framed.size, where(framed, RED), framed.getpixel((0, 0))) == ((6, 5), (1, 1, 5, 4), tiles.LINE)
    assert (bordered.size, where(bordered, RED), bordered.getpixel((0, 0))) == ((14, 13), (5, 5, 9, 8), (255,) * 3)
