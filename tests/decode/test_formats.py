"""Documents that are no PDF: office files, books, web pages, and names that lie."""

import html.parser
import io
import re
import zipfile
from collections import Counter

import pymupdf
import pytest
from fixtures import FIXTURES, needs_fixtures

from smart_jobs.decode.document import page_texts
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


def archive(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        for name, content in files.items():
            target.writestr(name, content)
    return buffer.getvalue()


EPUB = archive(
    {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": '<?xml version="1.0"?><container version="1.0" '
        'xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles><rootfile full-path="c.opf" '
        'media-type="application/oebps-package+xml"/></rootfiles></container>',
        "c.opf": '<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf" version="3.0"><metadata/>'
        '<manifest><item id="a" href="a.xhtml" media-type="application/xhtml+xml"/></manifest>'
        '<spine><itemref idref="a"/></spine></package>',
        "a.xhtml": '<html xmlns="http://www.w3.org/1999/xhtml"><body><p>Hello book</p></body></html>',
    }
)
RELATIONS = '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{}</Relationships>'
OFFICE_TYPE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PPTX = archive(
    {
        "_rels/.rels": RELATIONS.format(
            f'<Relationship Id="rId1" Type="{OFFICE_TYPE}/officeDocument" Target="ppt/presentation.xml"/>'
        ),
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>',
        "ppt/presentation.xml": '<p:presentation xmlns:p="p" xmlns:r="r"><p:sldIdLst><p:sldId id="256" r:id="rId2"/>'
        "</p:sldIdLst></p:presentation>",
        "ppt/_rels/presentation.xml.rels": RELATIONS.format(
            f'<Relationship Id="rId2" Type="{OFFICE_TYPE}/slide" Target="slides/slide1.xml"/>'
        ),
        "ppt/slides/slide1.xml": '<p:sld xmlns:p="p" xmlns:a="a"><p:cSld><p:spTree><p:sp><p:txBody><a:p><a:r>'
        "<a:t>Hello slide</a:t></a:r></a:p></p:txBody></p:sp></p:spTree></p:cSld></p:sld>",
    }
)
FB2 = (
    b'<?xml version="1.0"?><FictionBook xmlns="http://www.gribuser.ru/xml/fictionbook/2.0">'
    b"<body><section><p>Hello novel</p></section></body></FictionBook>"
)
HTML = b"<!DOCTYPE html>\n<html><head><title>t</title></head><body><p>Hello web, a %PDF-1.7 header</p></body></html>"
JPEG = pymupdf.Pixmap(pymupdf.csRGB, pymupdf.IRect(0, 0, 20, 20), False).tobytes("jpeg")


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
