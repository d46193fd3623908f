"""The pixels of a document under the heat of their patches."""

import numpy as np
from PIL import Image, ImageDraw

from smart_jobs.draw import heat, tiles
from smart_jobs.draw.heat import GREY, MARK, Scale
from smart_jobs.draw.lettering import Letters
from smart_jobs.draw.sheet import SMALL, WIDTH, Sheet
from smart_jobs.search import explain

WHOLE = (800, 900)
"""The widest and tallest that the map of the whole query may be."""
FRAMES = 8
"""Frames of a video that it shows at the most."""

NONE = "None did: each met a word, see below."

Frame = tuple[int, int]
"""A visual and a frame of its grid, by their numbers from 0."""


def overall(sheet: Sheet) -> Image.Image:
    """Every visual with what its patches add to the late score; of a video the frames in which most was added."""
    maps = explain.maps(sheet.met.received, sheet.document)
    scale = Scale(0.0, max(float(part.max()) for part in maps))
    frames = [(at, frame) for at, part in enumerate(maps) for frame in _most_met(part)]
    limits = WHOLE if len(frames) == 1 else SMALL
    found = [_overall(sheet, frame, scale.heat(maps[frame[0]][frame[1]]), limits) for frame in frames]
    parts = [tiles.in_rows(found, WIDTH), heat.bar(scale, sheet.letters)]
    return tiles.stack(parts if scale.high > 0 else [sheet.letters.line(NONE, 14, GREY), *parts])


def of_token(sheet: Sheet, i: int) -> Image.Image:
    """A query token over the frame with its nearest patch, between its lowest and highest cosine with any patch."""
    cosines, patches = sheet.met.cosines[i], sheet.document.visual()
    nearest = int(np.where(patches, cosines, -np.inf).argmax())
    at, frame, row, column = sheet.places[nearest].tolist()
    scale = heat.scale_of(cosines[patches])
    values = explain.maps(cosines, sheet.document)[at][frame]
    cell = _cell(values.shape, SMALL)
    image = heat.over(_pixels(sheet, (at, frame)), scale.heat(values), cell)
    heat.outlined(image, row, column, cell)
    caption = _caption(sheet, (at, frame))
    return tiles.stack([*sheet.named(i), tiles.framed(image), *caption, heat.bar(scale, sheet.letters)], 3)


def _most_met(part: np.ndarray) -> list[int]:
    """The frames of a map (t, h, w) in which most was added, in their order; the first where nothing was."""
    added = part.sum(axis=(1, 2))
    frames = np.argsort(-added, kind="stable")[:FRAMES]
    return sorted(frames[added[frames] > 0].tolist()) or [0]


def _overall(sheet: Sheet, frame: Frame, values: np.ndarray, limits: tuple[int, int]) -> Image.Image:
    cell = _cell(values.shape, limits)
    image = heat.over(_pixels(sheet, frame), values, cell)
    words = _met_there(sheet, frame)
    for row, column in words:
        heat.outlined(image, row, column, cell)
    for (row, column), said in words.items():
        _label(image, sheet.letters, (column * cell, (column + 1) * cell, row * cell), ", ".join(filter(None, said)))
    return tiles.stack([tiles.framed(image), *_caption(sheet, frame)], 2)


def _met_there(sheet: Sheet, frame: Frame) -> dict[tuple[int, int], list[str]]:
    """By row and column, the notes of the query tokens that met a patch of this frame."""
    found: dict[tuple[int, int], list[str]] = {}
    for i, best in enumerate(sheet.met.best.tolist()):
        visual, group, row, column = sheet.places[best].tolist()
        if (visual, group) == frame:
            found.setdefault((row, column), []).append(sheet.note(i))
    return found


def _label(image: Image.Image, letters: Letters, at: tuple[int, int, int], text: str, size: int = 15) -> None:
    """Small words on white, to the right of a patch or, where there is no room, to its left; all inside the image.

    `at` are the patch's left, right and top.
    """
    if not text:
        return
    before, behind, top = at
    text = letters.cut(text, size, image.width - 8)
    wide = round(letters.width(text, size)) + 6
    left = behind + 4 if behind + 4 + wide <= image.width else max(0, before - wide - 4)
    top = min(top, image.height - size - 4)
    draw = ImageDraw.Draw(image)
    draw.rectangle((left, top, left + wide, top + size + 4), fill="white")
    letters.write(draw, (left + 3, top), text, size, MARK)


def _caption(sheet: Sheet, frame: Frame) -> list[Image.Image]:
    """Which frame, and of which visual, where there are several."""
    grids, (at, number) = sheet.document.grids, frame
    said = [f"{at + 1} of {len(grids)} pictures"] if len(grids) > 1 else []
    if grids[at][0] > 1:
        seconds = sheet.document.seconds(number)
        span = f", {seconds[0]:.1f} to {seconds[1]:.1f} s" if seconds else ""
        said.append(f"frame {number + 1} of {grids[at][0]}{span}")
    return [sheet.letters.line(", ".join(said), 14, GREY)] if said else []


def _cell(grid: tuple[int, ...], limits: tuple[int, int]) -> int:
    """Pixels a side of each patch, a whole number, so that the map stays within the limits where it can."""
    return max(2, min(limits[0] // grid[1], limits[1] // grid[0]))


def _pixels(sheet: Sheet, frame: Frame) -> np.ndarray:
    """The first of the frames that one frame of the grid is made of."""
    pixels = sheet.seen.visuals[frame[0]].pixels
    return np.asarray(pixels[frame[1] * -(-len(pixels) // sheet.document.grids[frame[0]][0])])
