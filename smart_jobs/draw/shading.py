"""A text with its tokens shaded, and small notes above those that were met."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
from PIL import Image, ImageDraw

from smart_jobs.draw import heat
from smart_jobs.draw.lettering import Colour, Letters

BLACK, FADED, WHITE = (0, 0, 0), (150, 150, 150), (255, 255, 255)
DARK = 0.9
"""The heat from which on letters are white."""
RETURN = "\u21b5"
"""What is seen of a token that is a line end."""
PARTS = re.compile(r"\n|[^\S\n]+|\S+")


@dataclass(frozen=True, slots=True)
class Run:
    """A stretch of a text: the `heat` of its token from 0 to 1, None where it is no state; a `note` to stand above."""

    text: str
    heat: float | None = None
    note: str = ""


Line = list[Run]


def runs(text: str, spans: np.ndarray, heats: np.ndarray, notes: Sequence[str]) -> list[Run]:
    """A text cut at its tokens: their `spans` (n, 2), the heat (n,) and the note of each.

    Tokens of the same characters are one run, as hot as the hottest of them.
    """
    found: list[Run] = []
    at = 0
    order = sorted((tuple(span), i) for i, span in enumerate(spans.tolist()) if span[1] > span[0])
    for (start, end), group in groupby(order, key=lambda item: item[0]):
        own = [i for _, i in group]
        start = max(start, at)
        if start >= end:
            continue
        inside = next((i for i in range(start, end) if not text[i].isspace()), start)
        said = ", ".join(notes[i] for i in own if notes[i])
        own_text = text[inside:end].replace("\n", RETURN + "\n")
        found += [Run(text[at:inside]), Run(own_text, max(float(heats[i]) for i in own), said)]
        at = end
    return [run for run in [*found, Run(text[at:].rstrip())] if run.text]


def around(shown: Sequence[Run], middle: int, most: int) -> list[Run]:
    """The runs near one of them, about `most` characters before and behind it."""
    first, last = _within(shown, middle, most, -1), _within(shown, middle, most, 1)
    before = [Run("… ")] if first else []
    behind = [Run(" …")] if last + 1 < len(shown) else []
    return [*before, *shown[first : last + 1], *behind]


def _within(shown: Sequence[Run], at: int, room: int, step: int) -> int:
    while 0 <= at + step < len(shown) and room > 0:
        at += step
        room -= len(shown[at].text)
    return at


def lines(shown: Sequence[Run], letters: Letters, size: int, width: int) -> list[Line]:
    """The runs in lines no wider than `width`, broken at white space, or between tokens where there is none."""
    found: list[Line] = [[]]
    used = 0.0
    for word in _words(shown):
        if word[0].text == "\n":
            found.append([])
            used = 0.0
            continue
        wide = sum(letters.width(run.text, size) for run in word)
        pieces = [word] if wide <= width else [[run] for run in word]
        for piece in pieces:
            wide = sum(letters.width(run.text, size) for run in piece)
            if used and used + wide > width:
                found.append([])
                used = 0.0
            if used or piece[0].heat is not None or not piece[0].text.isspace():
                found[-1] += piece
                used += wide
    while len(found) > 1 and not found[-1]:
        found.pop()
    return found


def _words(shown: Sequence[Run]) -> list[list[Run]]:
    """Runs cut at white space; those of one word together."""
    parts = [replace(run, text=text, note=run.note if i == 0 else "")
             for run in shown for i, text in enumerate(PARTS.findall(run.text))]  # fmt: skip
    found: list[list[Run]] = []
    for part in parts:
        joined = found and not part.text.isspace() and not found[-1][-1].text.isspace()
        if joined:
            found[-1].append(part)
        else:
            found.append([part])
    return found


def shortened(found: Sequence[Line], most: int) -> list[Line]:
    """The lines; of more than `most` those with a note or heat, their neighbours, and a mark for those left out."""
    if len(found) <= most:
        return list(found)
    met = [at for at, line in enumerate(found) if any(run.note or run.heat for run in line)]
    near = {0, 1, 2} | {at + step for at in met for step in (-1, 0, 1)}
    kept: list[Line] = []
    for at, line in enumerate(found):
        if at in near:
            kept.append(line)
        elif kept and kept[-1] != [Run("…")]:
            kept.append([Run("…")])
    return kept


def drawn(found: Sequence[Line], letters: Letters, size: int, width: int) -> Image.Image:
    """The lines on white; there is room above a line where it has notes."""
    noted = [any(run.note for run in line) for line in found]
    small, tall = round(size * 0.65), round(size * 1.5)
    tops = np.cumsum([0, *(tall + (round(small * 1.3) if note else 0) for note in noted)]).tolist()
    image = Image.new("RGB", (width, tops[-1] + 4), "white")
    draw = ImageDraw.Draw(image)
    for line, note, top in zip(found, noted, tops, strict=False):
        _line(draw, line, letters, (size, small), top + (round(small * 1.3) if note else 0))
    return image


def _line(draw: ImageDraw.ImageDraw, line: Line, letters: Letters, sizes: tuple[int, int], top: int) -> None:
    size, small = sizes
    at, free = 0.0, 0.0
    for run in line:
        wide = letters.width(run.text, size)
        if run.heat is not None:
            ground = tuple(heat.laid(np.array(run.heat), np.full(3, 255.0)).tolist())
            draw.rectangle((at, top, at + wide - 1, top + round(size * 1.3)), fill=ground)
        letters.write(draw, (at, top), run.text, size, _ink(run))
        if run.note:
            start = max(free, min(at, draw.im.size[0] - letters.width(run.note, small)))
            letters.write(draw, (start, top - round(small * 1.3)), run.note, small, heat.MARK)
            free = start + letters.width(run.note + "  ", small)
        at += wide


def _ink(run: Run) -> Colour:
    if run.heat is None:
        return FADED
    return WHITE if run.heat > DARK else BLACK
