"""The arithmetic of pieces, against pages written out by hand."""

import pymupdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smart_jobs.decode.document import page_texts
from smart_jobs.decode.segments import Piece, pieces
from smart_jobs.records import Asset, AssetError


def asset(media="document", uri="a.pdf"):
    return Asset(uri=uri, source="s", stamp="1", media=media, size=1)


def pdf(*pages):
    document = pymupdf.open()
    for text in pages:
        document.new_page().insert_text((72, 72), text)
    return document.tobytes()


def in_words(text):
    return text.split()


def whole(text):
    return [text]


def plain(found):
    """Pieces with the errors as (reason, detail, step), which compare by value."""
    parts = [(piece.page, piece.text) for piece in found]
    return [(page, (t.reason, t.detail, t.step) if isinstance(t, AssetError) else t) for page, t in parts]


def test_each_page_by_itself():
    found = pieces(asset(), pdf("one two", "three"), in_words, page_texts)
    assert found == [Piece(1, "one"), Piece(1, "two"), Piece(2, "three")]


def test_a_page_without_text_is_one_error_in_its_place():
    found = plain(pieces(asset(), pdf("one", "", "three"), whole, page_texts))
    assert found == [(1, "one"), (2, ("empty", "page 2 has no text", "decode")), (3, "three")]


def test_a_page_that_cannot_be_read_keeps_its_own_error():
    found = pieces(asset(), pdf("one").replace(b"/Count 1", b"/Count 2"), whole, page_texts)
    assert found[0] == Piece(1, "one")
    assert (found[1].page, found[1].text.reason) == (2, "damaged")
    assert len(found) == 2


def test_text_has_no_pages():
    found = pieces(asset("text", "a.txt"), b"one two", in_words, page_texts)
    assert found == [Piece(None, "one"), Piece(None, "two")]


def test_blank_text_is_empty():
    found = plain(pieces(asset("text", "a.txt"), b" \n\t\xc2\xa0", whole, page_texts))
    assert found == [(None, ("empty", "the file has no text", "decode"))]


@pytest.mark.parametrize(
    ("media", "uri", "content", "reason"),
    [
        ("document", "a.pdf", b"", "empty_file"),
        ("document", "a.pdf", b"text", "unsupported"),
        ("document", "a.pdf", b"%PDF-1.7", "damaged"),
        ("text", "a.txt", b"", "empty_file"),
        ("text", "a.txt", b"\0", "unsupported"),
    ],
)
def test_the_whole_asset_fails(media, uri, content, reason):
    with pytest.raises(AssetError) as caught:
        pieces(asset(media, uri), content, whole, page_texts)
    assert caught.value.reason == reason


@given(st.lists(st.lists(st.sampled_from(["alpha", "beta", "gamma"]), max_size=6), min_size=1, max_size=5))
@settings(max_examples=50, deadline=None)
def test_against_brute_force(pages):
    expected = []
    for number, page in enumerate(pages, start=1):
        expected += [(number, word) for word in page] or [(number, ("empty", f"page {number} has no text", "decode"))]
    assert plain(pieces(asset(), pdf(*(" ".join(page) for page in pages)), in_words, page_texts)) == expected
