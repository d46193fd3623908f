"""Texts shaded by what was met: the hottest is the token that it should be."""

import numpy as np
import pytest
from sheets import LETTERS, of_text, redness

from smart_jobs.draw import words

TEXT = "alpha beta gamma"
SPANS = [(0, 5), (6, 10), (11, 16)]


def hottest(image, size):
    """Which word of `TEXT`, all on one line, has the strongest colour; the scale below is left out."""
    red = redness(np.asarray(image))[: round(size * 2.4)]
    bounds = [(LETTERS.width(TEXT[:start], size), LETTERS.width(TEXT[:end], size)) for start, end in SPANS]
    return int(np.argmax([red[:, round(left) + 1 : round(right) - 1].mean() for left, right in bounds]))


@pytest.mark.parametrize("target", [0, 1, 2])
def test_the_word_that_was_met_is_the_hottest_of_the_whole_and_of_the_tokens_map(target):
    sheet = of_text(TEXT, SPANS, [target])
    assert hottest(words.overall(sheet, 20), 20) == target
    top = sum(line.height + 3 for line in sheet.named(0))
    small = words.of_token(sheet, 0)
    assert hottest(small.crop((0, top, small.width, small.height)), 15) == target


def test_of_a_long_text_a_tokens_map_shows_what_is_near_and_the_whole_what_was_met():
    said = [f"line {i} of many" for i in range(300)]
    starts = np.cumsum([0, *(len(line) + 1 for line in said)])[:-1].tolist()
    sheet = of_text("\n".join(said), [(at, at + 4) for at in starts], [150])
    assert words.overall(sheet, 20).height < 12 * 40
    assert words.of_token(sheet, 0).height < 30 * 23
