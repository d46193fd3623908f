"""Pages as images, against the usual way: a drawing at 300 dpi that Pillow makes smaller."""

import io

import numpy as np
import pymupdf
import pytest
from decoding import BUDGET, SMALL, parts, seen
from fixtures import FIXTURES, needs_fixtures
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from small_documents import EPUB, FB2, HTML, PPTX

from smart_jobs.decode.opening import Wanted
from smart_jobs.records import AssetError
from smart_jobs.sampling import Resize, page_size

LETTER = (612, 792)
CROP = Resize(how="crop", factor=14, height=224, width=224)
SQUASH = Resize(how="squash", factor=16, height=384, width=384)


def drawn(data, name="a.pdf", page_as="image", resize=BUDGET, **more):
    return list(parts(data, Wanted(name, "document", seen(page_as, resize, **more))))


def pixels(part):
    """(h, w, 3) of a page that is one image."""
    [visual] = part.visuals
    assert (visual.kind, visual.times, visual.pixels.dtype, visual.pixels.flags.c_contiguous) == (
        "image",
        (),
        np.uint8,
        True,
    )
    [page] = visual.pixels
    return page


def usual(page, height, width):
    """The page at 300 dpi, made smaller by Pillow."""
    large = page.get_pixmap(dpi=300, alpha=False)
    image = Image.frombytes("RGB", (large.width, large.height), large.samples)
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))


def difference(left, right):
    return np.abs(left.astype(np.int16) - right).mean()


def document(width, height, rotation=0, margins=(0, 0, 0, 0), unit=None):
    """One page with a grey bar at its left, a black one at the top of what is shown, and words."""
    made = pymupdf.open()
    page = made.new_page(width=width, height=height)
    left, top, right, bottom = (share * side for share, side in zip(margins, (width, height) * 2, strict=True))
    shown = pymupdf.Rect(left, top, width - right, height - bottom)
    page.draw_rect(page.rect, color=None, fill=(1, 0.5, 0.5))
    page.draw_rect(shown, color=None, fill=(1, 1, 1))
    page.draw_rect((shown.x0, shown.y0, shown.x0 + shown.width / 4, shown.y1), color=None, fill=(0.6, 0.6, 0.6))
    page.draw_rect((shown.x0, shown.y0, shown.x1, shown.y0 + shown.height / 4), color=None, fill=(0, 0, 0))
    if any(margins):
        page.set_cropbox(shown)
    page.set_rotation(rotation)
    if unit:
        made.xref_set_key(page.xref, "UserUnit", str(unit))
    return made.tobytes()


# What a page looks like


@needs_fixtures
@pytest.mark.slow
def test_good_pdfs_look_as_the_usual_way_draws_them():
    found = {}
    for path in sorted((FIXTURES / "pdf" / "good").glob("*.pdf")):
        with pymupdf.open(path) as opened:
            first = pixels(drawn(path.read_bytes(), path.name)[0])
            assert first.shape[:2] == page_size(opened[0].rect.width, opened[0].rect.height, seen(resize=BUDGET))
            found[path.name] = difference(first, usual(opened[0], *first.shape[:2]))
    assert max(found.values()) < 8, max(found, key=found.get)
    assert np.median(list(found.values())) < 2


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("margins", [(0, 0, 0, 0), (0.1, 0.3, 0.25, 0.05)], ids=["whole", "cropped"])
@pytest.mark.parametrize("size", [LETTER, (300, 1200)], ids=["letter", "strip"])
def test_rotated_and_cropped_pages_are_what_a_viewer_shows(rotation, margins, size):
    data = document(*size, rotation, margins)
    found = pixels(drawn(data)[0])
    with pymupdf.open(stream=data) as opened:
        assert found.shape[:2] == page_size(opened[0].rect.width, opened[0].rect.height, seen(resize=BUDGET))
        assert difference(found, usual(opened[0], *found.shape[:2])) < 1.5
    upright = np.rot90(found, rotation // 90)
    height, width = upright.shape[:2]
    assert upright[height // 8, width // 2].tolist() == [0, 0, 0]
    assert upright[height // 2, width // 8].tolist() == pytest.approx([153, 153, 153], abs=2)
    assert upright[height - 4, width - 4].tolist() == [255, 255, 255]


@given(st.floats(50, 5000), st.floats(50, 5000), st.sampled_from([0, 90, 180, 270]), st.floats(0.2, 20))
@settings(max_examples=40, deadline=None)
def test_a_page_of_any_size_has_exactly_the_pixels_of_its_budget(width, height, rotation, unit):
    data = document(width, height, rotation, unit=unit)
    found = pixels(drawn(data, resize=SMALL)[0])
    sides = (height, width) if rotation % 180 else (width, height)
    with pymupdf.open(stream=data) as opened:
        shown = opened[0].rect
    assert (shown.width, shown.height) == pytest.approx([side * unit for side in sides], rel=1e-3)
    assert found.shape[:2] == page_size(shown.width, shown.height, seen(resize=SMALL))
    upright = np.rot90(found, rotation // 90)
    assert upright[upright.shape[0] // 8, upright.shape[1] // 2].max() < 5
    assert upright[-4, -4].tolist() == [255, 255, 255]


@pytest.mark.parametrize("size", [(3, 3), (14400, 14400)], ids=["tiny", "huge"])
def test_the_ends_of_what_pdf_allows(size):
    found = pixels(drawn(document(*size, unit=10 if size[0] > 9 else None))[0])
    assert found[found.shape[0] // 8, found.shape[1] // 2].max() < 5
    assert found[-2, -2].tolist() == [255, 255, 255]


def test_too_thin_a_strip_costs_its_page_alone():
    made = pymupdf.open()
    for width in (500, 3, 500):
        made.new_page(width=width, height=900)
    first, strip, last = drawn(made.tobytes())
    assert isinstance(strip, AssetError)
    assert (strip.reason, first.page, last.page) == ("unsupported", 1, 3)


def test_squashed_to_a_square():
    data = document(*LETTER)
    found = pixels(drawn(data, resize=SQUASH)[0])
    assert found.shape == (384, 384, 3)
    with pymupdf.open(stream=data) as opened:
        assert difference(found, usual(opened[0], 384, 384)) < 1.5


@pytest.mark.parametrize("size", [LETTER, (792, 612), (500, 500)])
def test_cropped_to_the_middle_as_an_image_would_be(size):
    data = document(*size)
    found = pixels(drawn(data, resize=CROP)[0])
    with pymupdf.open(stream=data) as opened:
        scale = 224 / min(size)
        height, width = (round(side * scale) for side in (size[1], size[0]))
        whole = usual(opened[0], height, width)
    top, left = (height - 224) // 2, (width - 224) // 2
    assert difference(found, whole[top : top + 224, left : left + 224]) < 3


def test_annotations_and_filled_fields_are_drawn():
    made = pymupdf.open()
    page = made.new_page(width=200, height=200)
    page.add_rect_annot((20, 20, 80, 80)).set_colors(stroke=(1, 0, 0), fill=(1, 0, 0))
    for annotation in page.annots():
        annotation.set_colors(stroke=(1, 0, 0), fill=(1, 0, 0))
        annotation.update()
    field = pymupdf.Widget()
    field.field_name, field.field_type, field.rect = "a", pymupdf.PDF_WIDGET_TYPE_TEXT, pymupdf.Rect(110, 110, 190, 190)
    field.fill_color, field.field_value = (0, 0, 1), "x"
    page.add_widget(field)
    found = pixels(drawn(made.tobytes())[0])
    height, width = found.shape[:2]
    assert found[height // 4, width // 4].tolist() == [255, 0, 0]
    assert found[height * 9 // 10, width * 9 // 10].tolist() == [0, 0, 255]


def test_nothing_is_transparent():
    assert (pixels(drawn(pymupdf_blank())[0]) == 255).all()


def pymupdf_blank():
    made = pymupdf.open()
    made.new_page()
    return made.tobytes()


@pytest.mark.parametrize(
    ("data", "name"), [(EPUB, "a.epub"), (PPTX, "a.pptx"), (FB2, "a.fb2"), (HTML, "a.html")], ids=lambda v: str(v)[-5:]
)
def test_other_formats_are_drawn_as_mupdf_lays_them_out(data, name):
    [page] = drawn(data, name)
    found = pixels(page)
    with pymupdf.open(stream=data, filetype=name) as opened:
        assert found.shape[:2] == page_size(opened[0].rect.width, opened[0].rect.height, seen(resize=BUDGET))
        assert difference(found, usual(opened[0], *found.shape[:2])) < 1.5
    assert found.min() < 100


@needs_fixtures
@pytest.mark.parametrize("suffix", [".docx", ".xlsx", ".html"])
def test_office_files_are_drawn(suffix):
    for path in sorted(FIXTURES.glob(f"office/*{suffix}")):
        assert all(pixels(page).std() > 0 for page in drawn(path.read_bytes(), path.name, resize=SMALL)[:1]), path


# What comes with it


def test_image_text_or_both():
    made = pymupdf.open()
    made.new_page().insert_text((72, 72), "words on a page")
    made.new_page()
    data = made.tobytes()
    assert [(page.text, len(page.visuals), page.page) for page in drawn(data)] == [("", 1, 1), ("", 1, 2)]
    assert [(page.text, len(page.visuals)) for page in drawn(data, page_as="both")] == [("words on a page", 1), ("", 1)]
    assert [(page.text, len(page.visuals)) for page in drawn(data, page_as="text")] == [("words on a page", 0), ("", 0)]
    assert np.array_equal(pixels(drawn(data)[0]), pixels(drawn(data, page_as="both")[0]))


def test_a_picture_in_a_page_comes_out_in_its_colours():
    random = np.random.default_rng(5)
    blocks = np.kron(random.integers(0, 256, (8, 8, 3), np.uint8), np.ones((40, 40, 1), np.uint8))
    buffer = io.BytesIO()
    Image.fromarray(blocks).save(buffer, "PNG")
    made = pymupdf.open()
    page = made.new_page(width=320, height=320)
    page.insert_image(page.rect, stream=buffer.getvalue())
    found = pixels(drawn(made.tobytes())[0])
    centres = np.linspace(1 / 16, 15 / 16, 8)
    rows, columns = ((centres * side).astype(int) for side in found.shape[:2])
    assert np.abs(found[np.ix_(rows, columns)].astype(int) - blocks[20::40, 20::40]).max() <= 3


def test_a_page_that_alone_cannot_be_read_leaves_the_others():
    first, second = drawn(document(*LETTER).replace(b"/Count 1", b"/Count 2"))
    assert pixels(first).shape[2] == 3
    assert (second.reason, second.detail[:6]) == ("damaged", "page 2")
