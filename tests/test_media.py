"""What a file is, against real files under their own names and under none."""

import io

import pymupdf
import pytest
from fixtures import FIXTURES, needs_fixtures
from PIL import Image
from small_documents import EPUB, HTML

from smart_jobs import media
from smart_jobs.decode import document

KINDS = [media.TEXT, media.DOCUMENT, media.IMAGE, media.VIDEO, media.AUDIO]
MISTAKEN = {".tga", ".ico", ".cur", ".fli", ".blp", ".sgi", ".pcx", ".msp", ".mp3", ".amr"}
"""Formats with no first bytes of their own, or none that are worth knowing: without a suffix they are documents."""


@pytest.mark.parametrize(
    ("uri", "wanted"),
    [
        ("a.pdf", "document"),
        ("s3://b/a.JPG", "image"),
        ("a.b.Mp4", "video"),
        ("a.mp3", "video"),
        ("a.md", "text"),
        ("a", "document"),
        ("2305.03393v1", "document"),
        ("x.png/a", "document"),
        (".png", "document"),
    ],
)
def test_the_suffix_says_it(uri, wanted):
    assert media.media_of(uri) == wanted


def test_no_suffix_is_two_things():
    assert sum(map(len, KINDS)) == len(frozenset.union(*KINDS))
    assert all(suffix.startswith(".") and suffix == suffix.lower() for kind in KINDS for suffix in kind)


def test_the_document_decoder_reads_the_suffixes_of_documents():
    assert set(document._FORMATS) == media.DOCUMENT


def test_pillow_reads_what_is_called_an_image():
    assert not media.IMAGE - set(Image.registered_extensions())


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "JPEG2000", "PPM", "AVIF", "QOI", "DDS"])
def test_an_image_without_a_name_is_one(kind):
    buffer = io.BytesIO()
    Image.new("RGB", (9, 7), (200, 10, 30)).save(buffer, kind)
    assert media.media_inside("bucket/0001", buffer.getvalue()) == "image"
    assert media.media_inside("a.pdf", buffer.getvalue()) == "document"
    assert media.media_inside("a.mp4", buffer.getvalue()) == "video"


@pytest.mark.parametrize("data", [EPUB, HTML, b"", b"words of a text", pymupdf.open().new_page().parent.tobytes()])
def test_anything_else_is_for_the_document_decoder(data):
    assert media.media_inside("bucket/0001", data) == "document"


@needs_fixtures
@pytest.mark.parametrize("folder", ["pdf/good", "office", "image/good", "video/good", "video/clips"])
def test_fixtures_without_their_names(folder):
    said = {"pdf/good": "document", "office": "document", "image/good": "image"}.get(folder, "video")
    for path in sorted(FIXTURES.glob(f"{folder}/*.*")):
        found = media.media_inside("bucket/0001", path.read_bytes())
        wanted = "document" if path.suffix in MISTAKEN else said
        assert (path.name, found) == (path.name, wanted)
        if path.suffix != ".md":
            assert (path.name, media.media_of(path.name)) == (path.name, said)
