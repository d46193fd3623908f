"""Items of a benchmark as assets: what makes them one, and what makes them two."""

from hypothesis import given
from hypothesis import strategies as st

from smart_jobs.evaluate.tasks import Item
from smart_jobs.flow import query_rows
from smart_jobs.records import Attached, text_digest
from smart_jobs.sources import said_by


def files(*names, media="image", root="/a/", stamp="1:2"):
    return tuple(Attached(f"{root}{name}", media, stamp) for name in names)


def test_content_instruction_and_side_make_it_one():
    items = [
        Item("words"), Item("words "), Item("words", title="t"), Item("words", instruction="find"), Item(), Item(" "),
        Item("words", files=files("x.png")), Item("words", files=files("y.png")), Item(files=files("x.png")),
        Item("words", files=files("x.png", "y.png")), Item("words", files=files("y.png", "x.png")),
        Item("words", files=files("x.png", media="frame")),
    ]  # fmt: skip
    made = [item.asset(side, "/a/") for item in items for side in ("query", "document")]
    assert len({asset.uri for asset in made}) == len({asset.stamp for asset in made}) == 2 * len(items)
    assert Item("a b").asset("query", "/a/").uri == Item("b", title="a").asset("query", "/a/").uri


def test_what_it_is_made_of_arrives():
    item = Item(" a ", "", "find", files("x.png", media="frame"), 7)
    asset = item.asset("query", "/a/")
    assert (asset.text, asset.words, asset.title, asset.instruction) == (" a ", " a ", "", "find")
    assert (asset.side, asset.media, asset.size, asset.verbatim) == ("query", "row", 7 + 3, True)
    assert asset.files == item.files
    assert said_by(asset) == text_digest(" a ", "find", "query")


def test_a_benchmark_that_was_moved_is_the_same_and_a_replaced_file_is_seen():
    here, there = (Item(files=files("x.png", root=root)).asset("document", root) for root in ("/a/", "s3://b/c/"))
    assert (here.uri, here.stamp) == (there.uri, there.stamp)
    replaced = Item(files=files("x.png", stamp="3:4")).asset("document", "/a/")
    assert (replaced.uri, replaced.stamp == here.stamp) == (here.uri, False)
    assert said_by(replaced) == said_by(here)


@given(st.text().filter(lambda text: text == text.strip()))
def test_a_text_without_edges_is_what_it_was_in_earlier_lakes(text):
    """Those of BEIR, whose URIs are of the stripped text, are not encoded again."""
    for side in ("query", "document"):
        asset = Item(text).asset(side, "")
        assert asset.uri == query_rows.uri(text, "", side)
        assert asset.stamp == asset.uri.removeprefix("eval:")


FRAMED = (Attached("/data/v/1.jpg", "frame", "1:1"),)


@given(st.text(" \nab", max_size=4), st.text(" \nab", max_size=4))
def test_texts_that_differ_by_white_space_are_two(one, other):
    """A model gets them as they stand."""
    assets = [Item(text, files=FRAMED).asset("document", "/data") for text in (one, other)]
    assert (assets[0].uri == assets[1].uri) == (one == other)
    assert (assets[0].stamp == assets[1].stamp) == (one == other)
