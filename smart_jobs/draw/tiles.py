"""Images put together: one below the other, or side by side in rows."""

from collections.abc import Sequence

from PIL import Image

GAP = 8
LINE = (190, 190, 190)


def stack(images: Sequence[Image.Image], gap: int = GAP) -> Image.Image:
    """One below the other on white, flush left. At least one."""
    tops = [0]
    for image in images:
        tops.append(tops[-1] + image.height + gap)
    made = Image.new("RGB", (max(image.width for image in images), tops[-1] - gap), "white")
    for image, top in zip(images, tops, strict=False):
        made.paste(image, (0, top))
    return made


def side_by_side(images: Sequence[Image.Image], gap: int = GAP) -> Image.Image:
    """From left to right on white, flush with the top. At least one."""
    made = Image.new("RGB", (sum(image.width + gap for image in images) - gap, max(i.height for i in images)), "white")
    left = 0
    for image in images:
        made.paste(image, (left, 0))
        left += image.width + gap
    return made


def in_rows(images: Sequence[Image.Image], width: int, gap: int = 4 * GAP) -> Image.Image:
    """Side by side in as many rows as it takes for none to be wider than `width`, single images apart."""
    rows: list[list[Image.Image]] = []
    used = width + 1
    for image in images:
        if used + image.width > width:
            rows.append([])
            used = 0
        rows[-1].append(image)
        used += image.width + gap
    return stack([side_by_side(row, gap) for row in rows], gap)


def framed(image: Image.Image) -> Image.Image:
    """With a thin line around it: a page is white too."""
    made = Image.new("RGB", (image.width + 2, image.height + 2), LINE)
    made.paste(image, (1, 1))
    return made


def bordered(image: Image.Image, gap: int = 3 * GAP) -> Image.Image:
    """With white around it."""
    made = Image.new("RGB", (image.width + 2 * gap, image.height + 2 * gap), "white")
    made.paste(image, (gap, gap))
    return made
