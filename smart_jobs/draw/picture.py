"""The picture as a whole: what was asked, the map of the whole query, and one for each of its tokens."""

from collections.abc import Sequence

from PIL import Image

from smart_jobs.draw import patches, tiles, words
from smart_jobs.draw.heat import GREY
from smart_jobs.draw.sheet import WIDTH, Sheet

HEADING = ((26, (0, 0, 0)), (17, GREY), (17, GREY))
"""Size and colour of its lines."""


def picture(sheet: Sheet, heading: Sequence[str]) -> Image.Image:
    """A page under these lines: over pixels where the document has patches, else over its text."""
    lines = [sheet.letters.line(text, *look, WIDTH) for text, look in zip(heading, HEADING, strict=True)]
    visual = sheet.document.visual()
    parts = [tiles.stack(lines, 2), *(_pictured(sheet) if visual.any() else _written(sheet))]
    if visual.any() and not visual.all():
        parts.append(_titled(sheet, "The words around it, and what each adds", words.overall(sheet, 16)))
    return tiles.bordered(tiles.stack(parts, 28))


def _pictured(sheet: Sheet) -> list[Image.Image]:
    maps = [patches.of_token(sheet, i) for i in sheet.chosen]
    return [
        _titled(sheet, "What each patch adds to the late score, and the query tokens that met it",
                patches.overall(sheet)),
        _titled(sheet, "Each query token: its cosine with every patch", tiles.in_rows(maps, WIDTH)),
    ]  # fmt: skip


def _written(sheet: Sheet) -> list[Image.Image]:
    maps = [words.of_token(sheet, i) for i in sheet.chosen]
    return [
        _titled(sheet, "What each token adds to the late score, and the query tokens that met it",
                words.overall(sheet, 20)),
        _titled(sheet, "Each query token: its cosine with the tokens near the one that it met",
                tiles.in_rows(maps, WIDTH)),
    ]  # fmt: skip


def _titled(sheet: Sheet, title: str, image: Image.Image) -> Image.Image:
    return tiles.stack([sheet.letters.line(title, 17, most=WIDTH), image])
