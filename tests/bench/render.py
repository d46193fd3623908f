"""What drawing a page at its final size at once is worth, beside drawing it large and making it smaller.

    python -m tests.bench.render [--repeats 3] [--documents DIR]

Both in this process, document by document in turn, each page once as in a job, on the first pages of the fixture PDFs
(made-up ones where there are none): A is the document decoder at a model's budget, B a drawing at 300 dpi that Pillow
makes smaller, bicubic. Prints pages a second of both, their ratio, how far the two pictures differ, and what bounds A:
the time MuPDF takes for the page's commands, fonts and pictures into a bitmap of one pixel, and this machine's time to
write the pixels once.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pymupdf
from PIL import Image

from smart_jobs.decode import document
from smart_jobs.records import AssetError
from smart_jobs.sampling import Resize, Sampling
from tests.fixtures import FIXTURES

SEEN = Sampling(image=(Resize(factor=32, min_pixels=4096, max_pixels=1_843_200),))
"""US Letter gets 1,776 tokens of 32 x 32 pixels."""
PAGES = 3
"""Of each document, so that no long one counts for all."""
LARGEST = 3000
"""Points a side: a poster at 300 dpi takes B minutes, and would flatter A."""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--documents", type=Path, default=FIXTURES / "pdf" / "good", help="folder of PDFs")
    options = parser.parse_args()
    files = [path.read_bytes() for path in sorted(options.documents.glob("*.pdf"))]
    if not files:
        print(f"no PDFs at {options.documents}: made-up pages instead")
        files = [made()]
    report([timed(files) for _ in range(options.repeats)])


def made() -> bytes:
    """Pages of small print with a picture."""
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (600, 600, 3), np.uint8).tobytes()
    opened = pymupdf.open()
    for _ in range(PAGES):
        page = opened.new_page(width=612, height=792)
        text = " ".join("".join(map(chr, random.integers(97, 123, random.integers(2, 11)))) for _ in range(600))
        page.insert_textbox((50, 50, 560, 600), text, fontsize=9)
        page.insert_image((200, 600, 400, 780), pixmap=pymupdf.Pixmap(pymupdf.csRGB, 600, 600, noise, False))
    return opened.tobytes()


def timed(files: list[bytes]) -> dict[str, Any]:
    """Seconds of each way over all pages, every document opened afresh for each, and the differences of the pictures.

    Every other document goes the ways in the other order.
    """
    seconds = dict.fromkeys(("once", "large", "drawn", "commands", "written"), 0.0)
    differences = []
    for number, data in enumerate(files):
        wanted = [(index, size) for index, size in sizes(data).items()]
        ways: list[tuple[str, Callable[[], list[np.ndarray]]]] = [
            ("once", lambda data=data, wanted=wanted: once(data, wanted, seconds)),
            ("large", lambda data=data, wanted=wanted: usual(data, wanted, seconds)),
        ]
        made = {name: way() for name, way in (ways if number % 2 else ways[::-1])}
        for left, right in zip(made["once"], made["large"], strict=True):
            differences.append(float(np.abs(left.astype(np.int16) - right).mean()))
        limits(data, wanted, seconds)
    return {"pages": len(differences), "differences": differences, **seconds}


def sizes(data: bytes) -> dict[int, tuple[int, int]]:
    """The height and width that the decoder gives the first pages, by index."""
    with document.opened(data, "a.pdf", SEEN) as parts:
        found = {index: parts.part(index) for index in range(min(parts.count, PAGES))}
    with pymupdf.open(stream=data) as opened:
        small = [i for i in found if max(opened[i].rect.width, opened[i].rect.height) <= LARGEST]
    return {i: part.visuals[0].pixels.shape[1:3] for i in small if not isinstance(part := found[i], AssetError)}


Wanted = list[tuple[int, tuple[int, int]]]


def once(data: bytes, wanted: Wanted, seconds: dict[str, float]) -> list[np.ndarray]:
    """The document decoder's way."""
    made = []
    with document.opened(data, "a.pdf", SEEN) as parts:
        for index, _ in wanted:
            start = time.perf_counter()
            part = parts.part(index)
            seconds["once"] += time.perf_counter() - start
            made.append(part.visuals[0].pixels[0])
    return made


def usual(data: bytes, wanted: Wanted, seconds: dict[str, float]) -> list[np.ndarray]:
    """A drawing at 300 dpi, made smaller by Pillow; `drawn` are the seconds of the drawing alone."""
    made = []
    with pymupdf.open(stream=data) as opened:
        for index, (height, width) in wanted:
            start = time.perf_counter()
            drawn = opened.load_page(index).get_pixmap(dpi=300, alpha=False)
            seconds["drawn"] += time.perf_counter() - start
            image = Image.frombytes("RGB", (drawn.width, drawn.height), drawn.samples)
            made.append(np.asarray(image.resize((width, height), Image.Resampling.BICUBIC)))
            seconds["large"] += time.perf_counter() - start
    pymupdf.TOOLS.store_shrink(100)
    return made


def limits(data: bytes, wanted: Wanted, seconds: dict[str, float]) -> None:
    """What no way of drawing saves: reading the page's commands, fonts and pictures, and writing its pixels."""
    with pymupdf.open(stream=data) as opened:
        for index, (height, width) in wanted:
            start = time.perf_counter()
            page = opened.load_page(index)
            page.get_pixmap(matrix=pymupdf.Matrix(1 / page.rect.width, 1 / page.rect.height))
            seconds["commands"] += time.perf_counter() - start
            start = time.perf_counter()
            np.full((height, width, 3), 255, np.uint8)
            seconds["written"] += time.perf_counter() - start
    pymupdf.TOOLS.store_shrink(100)


def report(runs: list[dict[str, Any]]) -> None:
    """Medians over the repeats."""
    pages = runs[0]["pages"]
    ratios = [run["large"] / run["once"] for run in runs]
    rate = {name: statistics.median(pages / run[name] for run in runs) for name in ("once", "large", "drawn")}
    print(f"{pages} pages, {len(runs)} repeats, one thread")
    print(f"at its size at once        {rate['once']:8.1f} pages/s")
    print(f"300 dpi, then smaller      {rate['large']:8.1f} pages/s  ({rate['drawn']:.1f} pages/s the drawing alone)")
    print(f"ratio                      {statistics.median(ratios):8.2f}  ({min(ratios):.2f} ... {max(ratios):.2f})")
    found = sorted(runs[0]["differences"])
    print(f"mean pixel difference      {statistics.mean(found):8.2f}  of 255, at most {found[-1]:.2f} on one page")
    for name, what in (("commands", "MuPDF for a bitmap of one pixel"), ("written", "writing the pixels once")):
        share = statistics.median(run[name] / run["once"] for run in runs)
        print(f"limit                      {100 * share:8.1f} % of the time at once is {what}")


if __name__ == "__main__":
    main()
