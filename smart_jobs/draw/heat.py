"""Numbers as colours: over the patches of a picture, behind words, and as the scale beside them."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from smart_jobs.draw.lettering import Letters

RAMP = np.array([(255, 255, 178), (254, 204, 92), (253, 141, 60), (240, 59, 32), (189, 0, 38)], np.float64)
"""Cold to hot: ColorBrewer's YlOrRd, which also runs from light to dark."""
STRONG, RISE = 0.7, 0.7
"""How much of the hottest colour is laid over what is below, of the coldest nothing; and by what power of the heat."""
PALE = 0.45
"""How far a picture is faded to white below its heat."""
MARK = (0, 70, 200)
GREY = (90, 90, 90)


@dataclass(frozen=True, slots=True)
class Scale:
    """The values that stand at the cold and at the hot end."""

    low: float
    high: float

    def heat(self, values: np.ndarray) -> np.ndarray:
        """The values from 0 to 1; all 0 where the ends are the same."""
        width = self.high - self.low
        return np.clip((values - self.low) / width, 0, 1) if width > 0 else np.zeros(np.shape(values))


def scale_of(values: np.ndarray) -> Scale:
    """From the least to the greatest value."""
    return Scale(float(values.min()), float(values.max()))


def laid(heat: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Heat (…,) from 0 to 1 over colours (…, 3): uint8."""
    at = heat * (len(RAMP) - 1)
    colours = np.stack([np.interp(at, range(len(RAMP)), channel) for channel in RAMP.T], axis=-1)
    share = (STRONG * heat**RISE)[..., None]
    return np.asarray(np.rint(share * colours + (1 - share) * below), np.uint8)


def over(pixels: np.ndarray, heat: np.ndarray, cell: int) -> Image.Image:
    """A picture (h, w, 3) uint8 under the heat (r, c) of its patches, each of which becomes `cell` pixels a side."""
    rows, columns = heat.shape
    size = (columns * cell, rows * cell)
    grey = np.asarray(Image.fromarray(pixels).convert("L").resize(size, Image.Resampling.LANCZOS), np.float64)
    faded = 255 - (255 - grey) * (1 - PALE)
    wide = heat.repeat(cell, axis=0).repeat(cell, axis=1)
    return Image.fromarray(laid(wide, faded[..., None].repeat(3, axis=-1)))


def outlined(image: Image.Image, row: int, column: int, cell: int) -> None:
    """A frame around a patch, in a colour that no heat has."""
    draw = ImageDraw.Draw(image)
    left, top = max(column * cell - 2, 0), max(row * cell - 2, 0)
    right, bottom = min((column + 1) * cell + 1, image.width - 1), min((row + 1) * cell + 1, image.height - 1)
    draw.rectangle((left - 1, top - 1, right + 1, bottom + 1), outline="white")
    draw.rectangle((left, top, right, bottom), outline=MARK, width=2)


def bar(scale: Scale, letters: Letters, width: int = 120, size: int = 13) -> Image.Image:
    """The scale as a strip of colours with the values at its ends."""
    low, high = f"{scale.low:.3f} ", f" {scale.high:.3f}"
    left, right = (round(letters.width(text, size)) + 1 for text in (low, high))
    image = Image.new("RGB", (left + width + right, round(size * 1.4)), "white")
    strip = laid(np.linspace(0, 1, width)[None].repeat(size - 3, axis=0), np.full((1, 1, 3), 255.0))
    image.paste(Image.fromarray(strip), (left, 3))
    draw = ImageDraw.Draw(image)
    letters.write(draw, (0, 0), low, size, GREY)
    letters.write(draw, (left + width, 0), high, size, GREY)
    return image
