"""Documents that are no PDF: office files, books, web pages, and names that lie."""

import html.parser
import re
import zipfile
from collections import Counter

import pytest
from decoding import page_texts
from fixtures import FIXTURES, needs_fixtures
from small_documents import EPUB, FB2, HTML, JPEG, PPTX, archive

from smart_jobs.records import AssetError

OFFICE = {".docx": True, ".xlsx": True, ".html": True, ".odt": False, ".csv": False, ".vtt": False, ".md": False}
"""Suffix of a file in fixtures/office -> whether it is a document that is read. (.md is for the text decoder.)"""


class Text(html.parser.HTMLParser):
    """What a page shows, without its title."""

    def __init__(self, markup):
        super().__init__()
        self.inside, self.parts = [], []
        self.feed(markup)

    def handle_starttag(self, tag, _attrs):
        self.inside.append(tag)

    def handle_endtag(self, tag):
        if tag in self.inside:
            del self.inside[len(self.inside) - 1 - self.inside[::-1].index(tag) :]

    def handle_data(self, data):
        if not {"title", "style", "script"} & set(self.inside):
            self.parts.append(data)


def independent_text(path):
    if path.suffix == ".html":
        return " ".join(Text(path.read_text(encoding="utf-8")).parts)
    member, end, tag = {
        ".docx": ("word/document.xml", "</w:p>", "w:t"),
        ".xlsx": ("xl/sharedStrings.xml", "</si>", "t"),
    }[path.suffix]
    markup = zipfile.ZipFile(path).read(member).decode()
    return " ".join("".join(re.findall(rf"<{tag}(?: [^>]*)?>([^<]*)<", part)) for part in markup.split(end))


def words(text):
    return Counter(re.findall(r"\w+", text))


@needs_fixtures
@pytest.mark.parametrize("path", sorted(FIXTURES.glob("office/*")), ids=lambda path: path.name)
def test_office_fixture(path):
    if OFFICE[path.suffix]:
        found = words(" ".join(page_texts(path.read_bytes(), path.name)))
        expected = words(independent_text(path))
        assert (expected & found).total() >= 0.98 * expected.total() > 0
        return
    with pytest.raises(AssetError) as caught:
        page_texts(path.read_bytes(), path.name)
    assert caught.value.reason == "unsupported"


@pytest.mark.parametrize(
    ("data", "name", "text"),
    [
        (EPUB, "a.epub", "Hello book"),
        (EPUB, "a-book-without-suffix", "Hello book"),
        (PPTX, "a.pptx", "Hello slide"),
        (FB2, "a.fb2", "Hello novel"),
        (HTML, "a.html", "Hello web, a %PDF-1.7 header"),
        (b"\xef\xbb\xbf<!-- made -->\n" + HTML, "A.HTM", "Hello web, a %PDF-1.7 header"),
        (HTML.decode().encode("utf-16"), "a.html", "Hello web, a %PDF-1.7 header"),
    ],
)
def test_a_page_of_each_format(data, name, text):
    assert page_texts(data, name) == [text]


@pytest.mark.parametrize("name", ["a.pdf", "a.html", "a.docx", "a.epub", "a.xps", "a.mobi", "a.fb2", "a.jpg", "a"])
@pytest.mark.parametrize("content", ["epub", "pptx", "fb2", "html", "jpeg", "zip", "text", "svg"])
def test_content_that_the_name_does_not_say(content, name):
    data = {
        "epub": EPUB,
        "pptx": PPTX,
        "fb2": FB2,
        "html": HTML.replace(b"%PDF-", b""),
        "jpeg": JPEG,
        "zip": archive({"a.txt": "x", "b.jpg": JPEG}),
        "text": b"# A title\n\nand a line\n",
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><text y="8">hi</text></svg>',
    }[content]
    said = {"a.html": "html", "a.docx": "pptx", "a.epub": "epub", "a.fb2": "fb2"}.get(name)
    unnamed = name in ("a", "a.jpg") and content in ("epub", "pptx")
    if content == said or unnamed:
        assert page_texts(data, name)
        return
    with pytest.raises(AssetError) as caught:
        page_texts(data, name)
    assert caught.value.reason == "unsupported"


def test_soft_hyphens_at_line_ends_are_joined():
    body = "<html><body><p>" + "hy\u00adphen\u00adation " * 40 + "</p></body></html>"
    assert page_texts(body.encode(), "a.html")[0].split() == ["hyphenation"] * 40
