"""The picture as a whole holds its parts; which query tokens have a map."""

import numpy as np
import pytest
from sheets import asking, noise, of_text, of_visuals, towards

from smart_jobs import masks
from smart_jobs.draw import patches, picture, tiles, words
from smart_jobs.draw.sheet import DRAWN, WIDTH, chosen
from smart_jobs.records import Visual
from smart_jobs.search import explain
from smart_jobs.search.explain import Side

HEADING = ["what was asked", "of what", "late score 0.5"]


def holds(whole, part):
    """Whether a part lies somewhere below the left margin."""
    pixels, sought = np.asarray(whole), np.asarray(part)
    height, width = sought.shape[:2]
    left = 3 * tiles.GAP
    rows = range(left, len(pixels) - height + 1)
    return any((pixels[top : top + height, left : left + width] == sought).all() for top in rows)


def test_over_pixels_there_are_the_whole_map_each_tokens_and_the_words():
    visual = Visual("image", noise(24, 16))
    sheet = of_visuals([visual], [(1, 3, 2)], [1, 4, 6], ["a", "b", "c"], said="xy")
    shown = picture.picture(sheet, HEADING)
    assert holds(shown, patches.overall(sheet))
    assert holds(shown, tiles.in_rows([patches.of_token(sheet, i) for i in range(3)], WIDTH))
    assert holds(shown, words.overall(sheet, 16))
    assert all(holds(shown, sheet.letters.line(text, *look))
               for text, look in zip(HEADING, picture.HEADING, strict=True))  # fmt: skip


def test_without_words_there_is_no_part_for_them():
    visual = Visual("image", noise(24, 16))
    bare, more = (picture.picture(of_visuals([visual], [(1, 3, 2)], [1], said=said), HEADING) for said in ("", "ab"))
    assert more.height > bare.height + 40


def test_over_a_text_there_are_the_whole_text_and_each_tokens():
    sheet = of_text("some words of a text", [(0, 4), (5, 10), (11, 13)], [2, 0])
    shown = picture.picture(sheet, HEADING)
    assert holds(shown, words.overall(sheet, 20))
    assert holds(shown, tiles.in_rows([words.of_token(sheet, i) for i in range(2)], WIDTH))


@pytest.mark.parametrize("count", [3, DRAWN + 8])
def test_the_querys_own_tokens_have_maps_the_nearest_of_many_in_their_order(count):
    query = towards(range(count), count) * 1.0
    document = np.eye(count, dtype=np.float32) * np.random.default_rng(3).uniform(0.1, 1, (count, 1)).astype(np.float32)
    met = explain.met(query, document)
    kinds = np.full(count, masks.TEXT, np.uint8)
    kinds[0] = masks.TEMPLATE
    found = chosen(met, Side(count, kinds))
    own = sorted(range(1, count), key=lambda i: -met.maxima[i])[:DRAWN]
    assert found == sorted(own)


def test_where_the_query_has_no_token_of_its_own_all_count():
    met = explain.met(towards([0, 1], 2), np.eye(2, dtype=np.float32))
    assert chosen(met, Side(2, np.full(2, masks.TEMPLATE, np.uint8))) == [0, 1]
    assert chosen(met, asking("ab")) == [0, 1]
