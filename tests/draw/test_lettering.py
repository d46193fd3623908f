"""Letters that a font has, and what stands for those that it has not."""

import numpy as np
import pytest
from PIL import ImageFont

from smart_jobs.draw.lettering import LACKING, Letters
from smart_jobs.records import UsageError


@pytest.fixture(scope="module")
def ascii_font(tmp_path_factory) -> str:
    """Pillow's own font as a file: it has the letters of ASCII, on every machine."""
    path = tmp_path_factory.mktemp("fonts") / "own.ttf"
    path.write_bytes(ImageFont.load_default(20).path.getvalue())
    return str(path)


@pytest.mark.parametrize(
    ("text", "plain", "lacking"),
    [
        ("as it is", "as it is", ""),
        ("Köln, naïve café", "Koln, naive cafe", "öïé"),
        ("so \u2013 \u2022", "so - *", ""),
        ("\u0133s", "ijs", "\u0133"),
        ("日本 x", f"{LACKING * 2} x", "日本"),
    ],
)
def test_what_a_font_lacks_is_written_plainly_and_remembered(ascii_font, text, plain, lacking):
    letters = Letters(ascii_font)
    assert (np.asarray(letters.line(text, 20)) == np.asarray(letters.line(plain, 20))).all()
    assert letters.lacking == set(lacking)
    assert letters.width(text, 20) == letters.width(plain, 20)


def test_a_line_that_is_too_wide_is_cut(ascii_font):
    letters = Letters(ascii_font)
    text = "word " * 40
    assert letters.cut("short", 15, 200) == "short"
    cut = letters.cut(text, 15, 200)
    assert cut.endswith("…")
    assert text.startswith(cut[:-1])
    assert letters.width(cut, 15) <= 200 < letters.width(text[: len(cut) + 1] + "…", 15)
    assert letters.line(text, 15, most=200).width <= 202


def test_without_a_file_there_is_a_font_all_the_same():
    assert np.asarray(Letters().line("a", 20)).min() < 100


@pytest.mark.parametrize("content", [None, b"no font"])
def test_a_file_that_is_no_font_is_wrong_usage(tmp_path, content):
    path = tmp_path / "font.ttf"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=rf"font={path}: not a TrueType or OpenType font"):
        Letters(str(path))
