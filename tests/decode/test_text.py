"""Plain text: what is text, and in which encoding."""

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_jobs.decode.text import plain_text
from smart_jobs.records import AssetError

TEXT = "Größe 日本 🙂\r\n\tsecond line\n"


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode(),
        codecs.BOM_UTF8 + TEXT.encode(),
        codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le"),
        codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
    ],
    ids=["utf-8", "utf-8 with mark", "utf-16 little", "utf-16 big"],
)
def test_encodings(data):
    assert plain_text(data, "a.txt") == TEXT


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8\xff\xe0\x00\x10JFIF",
        b"text with a \0 in it",
        "Größe".encode("latin-1"),
        codecs.BOM_UTF16_LE + b"odd",
        codecs.BOM_UTF32_LE + TEXT.encode("utf-32-le"),
        "\ud800".encode("utf-8", "surrogatepass"),
    ],
    ids=["jpeg", "nul", "latin-1", "odd length", "utf-32", "surrogate"],
)
def test_not_text(data):
    with pytest.raises(AssetError) as caught:
        plain_text(data, "a.txt")
    assert (caught.value.reason, caught.value.step) == ("unsupported", "decode")
    assert "a.txt" in caught.value.detail


def test_no_bytes():
    with pytest.raises(AssetError) as caught:
        plain_text(b"", "a.txt")
    assert (caught.value.reason, caught.value.step) == ("empty_file", "decode")


def test_a_mark_alone_is_an_empty_text():
    assert plain_text(codecs.BOM_UTF8, "a.txt") == ""


@given(st.binary(min_size=1))
def test_bytes_give_text_that_arrow_can_hold_or_an_asset_error(data):
    try:
        text = plain_text(data, "a.txt")
    except AssetError:
        return
    assert "\0" not in text
    text.encode()


@given(st.text(min_size=1).filter(lambda text: "\0" not in text and text[0] != "\ufeff"))
def test_utf8_comes_back(text):
    assert plain_text(text.encode(), "a.txt") == text
