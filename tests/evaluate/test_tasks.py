"""When two items are one and the same for an evaluation's lake."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from smart_jobs.evaluate.tasks import Item
from smart_jobs.records import Attached

FRAME = Attached("/data/v/1.jpg", "frame", "1:1")


@given(st.text(" \nab", max_size=4), st.text(" \nab", max_size=4))
def test_texts_that_differ_by_white_space_are_two(one, other):
    """A model gets them as they stand."""
    assets = [Item(text, files=(FRAME,)).asset("document", "/data") for text in (one, other)]
    assert (assets[0].uri == assets[1].uri) == (one == other)
    assert (assets[0].stamp == assets[1].stamp) == (one == other)


def test_side_instruction_and_files_tell_items_apart():
    item = Item("a", instruction="b", files=(FRAME,))
    others = [replace(item, instruction="c"), replace(item, files=(replace(FRAME, media="image"),)),
              replace(item, files=(FRAME, FRAME)), replace(item, files=())]  # fmt: skip
    uris = [given.asset("document", "/data").uri for given in (item, *others)]
    assert len({*uris, item.asset("query", "/data").uri}) == 6


def test_a_suite_that_was_moved_is_the_same_and_a_changed_file_shows_in_the_stamp():
    item = Item("a", files=(FRAME,))
    moved = replace(item, files=(replace(FRAME, uri="/other/v/1.jpg"),)).asset("document", "/other")
    assert moved.uri == item.asset("document", "/data").uri
    assert moved.stamp == item.asset("document", "/data").stamp
    changed = replace(item, files=(replace(FRAME, stamp="2:2"),)).asset("document", "/data")
    assert (changed.uri, changed.stamp == moved.stamp) == (moved.uri, False)
