"""The text layer of PDFs, against the table of hostile files, another reading of the good ones, and made-up files."""

import re
import unicodedata
from collections import Counter

import pymupdf
import pytest
from decoding import page_texts
from fixtures import FIXTURES, needs_fixtures
from hostile_pdfs import HOSTILE
from hypothesis import given, settings
from hypothesis import strategies as st

from smart_jobs.records import AssetError

GOOD = sorted(FIXTURES.glob("pdf/good/*.pdf"))
# MuPDF's own words end where right-to-left letters do: both readings are cut there.
RUN = re.compile(r"[\u0590-\u08ff\ufb1d-\ufefc]+|[^\W\u0590-\u08ff\ufb1d-\ufefc]+")


def words(text: str) -> Counter[str]:
    return Counter(RUN.findall(unicodedata.normalize("NFKC", text)))


def made(*pages: str, **options: object) -> bytes:
    document = pymupdf.open()
    for text in pages:
        document.new_page().insert_text((72, 72), text)
    return document.tobytes(**options)


def reason(data: bytes, name: str = "a.pdf") -> str:
    with pytest.raises(AssetError) as caught:
        page_texts(data, name)
    assert caught.value.step == "decode"
    assert caught.value.detail
    return caught.value.reason


def outcome(data: bytes, name: str) -> str | tuple[int, int]:
    try:
        texts = page_texts(data, name)
    except AssetError as error:
        return error.reason
    return sum(text != "" for text in texts), sum(text == "" for text in texts)


@needs_fixtures
def test_the_table_names_every_hostile_file():
    root = FIXTURES / "pdf" / "hostile"
    assert {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()} == set(HOSTILE)


@needs_fixtures
@pytest.mark.parametrize("path", sorted(HOSTILE))
def test_hostile_file(path, capfd):
    assert outcome((FIXTURES / "pdf" / "hostile" / path).read_bytes(), path) == HOSTILE[path]
    assert capfd.readouterr() == ("", "")


@needs_fixtures
@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.name)
def test_good_pdf_keeps_its_words(path):
    texts = page_texts(path.read_bytes(), path.name)
    with pymupdf.open(path) as document:
        assert len(texts) == document.page_count
        for page, text in zip(document, texts, strict=True):
            expected = words(" ".join(word[4] for word in page.get_text("words")))
            found = words(text)
            assert (expected & found).total() >= 0.98 * expected.total()
            assert (expected & found).total() >= 0.98 * found.total()
            assert not [char for char in text if unicodedata.category(char) in ("Cc", "Cs") and char != "\n"]
            assert "\u00ad" not in text


@needs_fixtures
def test_nine_good_pdfs_have_no_text():
    assert len(GOOD) == 74
    assert sum(not any(page_texts(path.read_bytes(), path.name)) for path in GOOD) == 9


def test_pages_in_order_with_an_empty_one_between():
    assert page_texts(made("first", "", "third", "fourth"), "a.pdf") == ["first", "", "third", "fourth"]


def test_lines_stay_lines():
    assert page_texts(made("one  two\nthree\tfour "), "a.pdf") == ["one two\nthree four"]


@pytest.mark.parametrize("text", ["Größe straße œuvre", "日本語の文書", "документ на русском", "λόγος"])
def test_unicode(text):
    document = pymupdf.open()
    document.new_page().insert_htmlbox(pymupdf.Rect(50, 50, 500, 500), text)
    assert page_texts(document.tobytes(), "a.pdf") == [text]


def test_ligatures_become_their_letters():
    document = pymupdf.open()
    document.new_page().insert_htmlbox(pymupdf.Rect(50, 50, 500, 500), "\ufb01le o\ufb03ce")
    assert "\ufb01" in document[0].get_text()
    assert page_texts(document.tobytes(), "a.pdf") == ["file office"]


def test_columns_are_read_one_after_the_other():
    document = pymupdf.open()
    page = document.new_page()
    page.insert_text((72, 72), "left one\nleft two")
    page.insert_text((300, 72), "right one\nright two")
    assert page_texts(document.tobytes(), "a.pdf") == ["left one\nleft two\nright one\nright two"]


def test_owner_password_only_opens():
    data = made("open to all", encryption=pymupdf.PDF_ENCRYPT_AES_256, owner_pw="owner", user_pw="")
    assert page_texts(data, "a.pdf") == ["open to all"]


@pytest.mark.parametrize(
    "method", [pymupdf.PDF_ENCRYPT_RC4_40, pymupdf.PDF_ENCRYPT_AES_128, pymupdf.PDF_ENCRYPT_AES_256]
)
def test_user_password_is_encrypted(method):
    assert reason(made("closed", encryption=method, owner_pw="owner", user_pw="user")) == "encrypted"


def test_no_bytes():
    assert reason(b"") == "empty_file"


@pytest.mark.parametrize(
    "data",
    [
        b"%PDF-1.7",
        b"%PDF-1.7\n" + bytes(range(256)) * 8,
        made("x")[:200],
        made("x").replace(b"/Count 1", b"/Count 0").replace(b"/Kids[", b"/None["),
        made("x").replace(b"/Count 1", b"/Count 2000000000"),
    ],
    ids=["header only", "garbage", "cut to its head", "no pages", "two billion pages"],
)
def test_damaged(data, capfd):
    assert reason(data) == "damaged"
    assert capfd.readouterr() == ("", "")


def test_a_page_that_alone_fails_leaves_the_others():
    first, second = page_texts(made("whole").replace(b"/Count 1", b"/Count 2"), "a.pdf")
    assert first == "whole"
    assert isinstance(second, AssetError)
    assert (second.reason, second.step) == ("damaged", "decode")
    assert "page 2" in second.detail


def test_junk_before_the_header():
    data = made("behind junk")
    assert page_texts(b"\x1b%-12345X@PJL\r\n" * 60 + data, "a.pdf") == ["behind junk"]
    assert reason(b"\x00" * 16 + b"j" * 1100 + data) == "unsupported"


@pytest.mark.parametrize("name", ["bucket/0001", "2305.03393v1", "a.PDF", "s3://b/a.pdf"])
def test_pdf_under_a_name_that_says_nothing_else(name):
    assert page_texts(made("found"), name) == ["found"]


@given(st.binary(max_size=400), st.sampled_from(["a.pdf", "a.html", "a.docx", "a.epub", "a", "a.mobi"]))
@settings(max_examples=300, deadline=None)
def test_garbage_raises_nothing_else(data, name):
    outcome(data, name)
    outcome(b"%PDF-1.7\n" + data, name)
    outcome(b"PK\x03\x04" + data, name)


WHOLE = made("the first page", "the second page", "", "the last page")


@given(
    st.integers(0, len(WHOLE)),
    st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), max_size=30),
)
@settings(max_examples=500, deadline=None)
def test_damage_raises_nothing_else(length, changes):
    data = bytearray(WHOLE)
    for place, value in changes:
        data[place] = value
    outcome(bytes(data[:length]), "a.pdf")
    outcome(bytes(data), "a.pdf")
