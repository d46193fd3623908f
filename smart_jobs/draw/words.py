"""The text of a document, shaded at its tokens."""

from collections import defaultdict

import numpy as np
from PIL import Image

from smart_jobs.draw import heat, shading, tiles
from smart_jobs.draw.heat import Scale
from smart_jobs.draw.sheet import SMALL, WIDTH, Sheet

LINES = 60
"""Lines from which on only those stay that were met."""
NEAR = 170
"""Characters before and behind the token that one query token met."""


def overall(sheet: Sheet, size: int) -> Image.Image:
    """All of the text, each token shaded by what it adds to the late score, below the query tokens that met it."""
    spoken, received = ~sheet.document.visual(), sheet.met.received
    notes: dict[int, list[str]] = defaultdict(list)
    for i, at in enumerate(sheet.met.best.tolist()):
        notes[at].append(sheet.note(i))
    said = [", ".join(filter(None, notes[at])) for at in np.flatnonzero(spoken).tolist()]
    scale = Scale(0.0, float(received[spoken].max()))
    runs = shading.runs(sheet.seen.text, sheet.seen.spans[spoken], scale.heat(received[spoken]), said)
    lines = shading.shortened(shading.lines(runs, sheet.letters, size, WIDTH), LINES)
    return tiles.stack([shading.drawn(lines, sheet.letters, size, WIDTH), heat.bar(scale, sheet.letters)])


def of_token(sheet: Sheet, i: int, size: int = 15) -> Image.Image:
    """The text around what a query token met, shaded between its lowest and highest cosine with any token."""
    cosines = sheet.met.cosines[i]
    scale = heat.scale_of(cosines)
    notes = [sheet.called(i) if at == sheet.met.best[i] else "" for at in range(sheet.document.count)]
    runs = shading.runs(sheet.seen.text, sheet.seen.spans, scale.heat(cosines), notes)
    middle = next((at for at, run in enumerate(runs) if run.note), 0)
    lines = shading.lines(shading.around(runs, middle, NEAR), sheet.letters, size, SMALL[0])
    text = shading.drawn(lines, sheet.letters, size, SMALL[0])
    return tiles.stack([*sheet.named(i), text, heat.bar(scale, sheet.letters)], 3)
