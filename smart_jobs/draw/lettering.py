"""Letters on a picture: a font that has them, and what is written for those that none has."""

import functools
import unicodedata
from typing import cast

from PIL import Image, ImageDraw, ImageFont

from smart_jobs.records import UsageError

INSTALLED = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf", "Arial.ttf", "Helvetica.ttc")
"""Fonts that machines often have, and Pillow finds by their names. Its own has the letters of ASCII and no more."""
UNSEEN = "\uffff"
"""No character: whatever a font draws for it, it draws for all that it lacks."""
PLAIN = str.maketrans(
    {"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2013": "-", "\u2014": "-", "\u2026": "...",
     "\u00b7": "-", "\u2022": "*", "\u21b5": "\\"}
)  # fmt: skip
"""Punctuation that nobody misses in its finer form."""
LACKING = "?"
"""What stands for a letter that no font has, plain or not."""

Colour = tuple[int, int, int]


class Letters:
    """Writes in one font, and remembers what it has not."""

    def __init__(self, path: str | None = None) -> None:
        """The font in the file `path`; else the first of `INSTALLED` that is there, else Pillow's own.

        Raises UsageError where the file is no font.
        """
        self._path = path or next((name for name in INSTALLED if _there(name)), None)
        self.lacking: set[str] = set()
        try:
            self._font(20)
        except OSError as error:
            raise UsageError(f"font={path}: not a TrueType or OpenType font: {error}") from error
        self._of = functools.cache(self._substitute)

    def _font(self, size: int) -> ImageFont.FreeTypeFont:
        return _loaded(self._path, size)

    def width(self, text: str, size: int) -> float:
        """How wide a line of text is, in pixels."""
        return self._font(size).getlength(self._written(text))

    def write(self, draw: ImageDraw.ImageDraw, at: tuple[float, float], text: str, size: int, ink: Colour) -> None:
        """A line of text, the upper left of its first letter at `at`."""
        draw.text(at, self._written(text), fill=ink, font=self._font(size))

    def line(self, text: str, size: int, ink: Colour = (0, 0, 0), most: int | None = None) -> Image.Image:
        """A line of text on white, cut where it is wider than `most`."""
        text = self.cut(text, size, most) if most else text
        image = Image.new("RGB", (max(1, round(self.width(text, size)) + 2), round(size * 1.4)), "white")
        self.write(ImageDraw.Draw(image), (0, 0), text, size, ink)
        return image

    def cut(self, text: str, size: int, most: float) -> str:
        """As much of a text as is no wider than `most`, with an ellipsis where something is left out."""
        if self.width(text, size) <= most:
            return text
        while text and self.width(text + "…", size) > most:
            text = text[:-1]
        return text + "…"

    def _written(self, text: str) -> str:
        return "".join(map(self._of, text))

    def _substitute(self, letter: str) -> str:
        """The letter, or what stands for it where the font has it not: plainer, without accents, `LACKING`."""
        if letter.isspace() or self._has(letter):
            return letter
        plain = letter.translate(PLAIN)
        if plain == letter:
            self.lacking.add(letter)
            plain = "".join(c for c in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(c))
        return plain if plain and all(map(self._has, plain)) else LACKING

    def _has(self, letter: str) -> bool:
        font = self._font(20)
        return _drawn(font, letter) != _drawn(font, UNSEEN)


@functools.cache
def _loaded(path: str | None, size: int) -> ImageFont.FreeTypeFont:
    basic = ImageFont.Layout.BASIC  # the other engine raises for characters that a font lacks
    if path is not None:
        return ImageFont.truetype(path, size, layout_engine=basic)
    return cast("ImageFont.FreeTypeFont", ImageFont.load_default(size))


def _there(name: str) -> bool:
    try:
        _loaded(name, 20)
    except OSError:
        return False
    return True


def _drawn(font: ImageFont.FreeTypeFont, letter: str) -> tuple[tuple[int, int], bytes]:
    mask = font.getmask(letter)
    return mask.size, bytes(mask)
