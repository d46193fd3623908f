"""Whether decoding keeps an encoder fed: the whole pipeline beside its slower stage alone.

    python -m tests.bench.feeding [--pages 800]

Real decoding, of PDF pages drawn at a model's budget, in the decode actors of a real run; in the place of the model
an actor that takes a fixed time for each page, then writes its states as any other. The time is twice, then half of
what a page takes to decode, so that each stage is the slower one in turn. Prints pages a second of the decode stage
alone (in this process, with its own decoder process), of the encoder alone (its fixed time and its writing), of the
pipeline from the first receipt behind the warm-up to the last, and the pipeline's share of the slower of the two.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pymupdf

from smart_jobs import sources
from smart_jobs.decode import cutting, units
from smart_jobs.decode.sandbox import Sandbox
from smart_jobs.encode import checkpoint
from smart_jobs.flow import actors, cluster, stream
from smart_jobs.keys import Cluster, Cut, Decode, Source
from smart_jobs.lake import layout, writer
from smart_jobs.records import Embedding, Planned
from smart_jobs.sampling import Resize, Sampling
from tests import tiny_vl

SEEN = Sampling(image=(Resize(factor=32, min_pixels=4096, max_pixels=1_843_200),))
UNIT_TOKENS = 8 * 1776
"""Eight US Letter pages."""
WARM_UP = 2
"""Receipts before the clock starts."""


class FixedTime:
    """An encode actor whose model takes `seconds` for a page, whatever it is."""

    seconds = 0.1

    def __init__(self, run: actors.Run) -> None:
        """Open the tables of the run's lake."""
        lake = layout.open_lake(run.lake_uri)
        self._tables, self._run = layout.open_encoder(lake, run.spec.full_name), run

    def __call__(self, unit: pa.Table) -> pa.Table:
        """One unit in, its receipt out."""
        return spend(unit, self._tables, self._run.run_id, self.seconds)


def spend(unit: pa.Table, tables: layout.EncoderTables, run_id: str, seconds: float) -> pa.Table:
    """The receipt of a unit after `seconds` for each of its segments, every pixel of which is looked at."""
    segments = units.segments(unit)
    for segment in segments:
        start = time.perf_counter()
        assert sum(int(visual.pixels.max()) for visual in segment.visuals) > 0
        time.sleep(max(0.0, seconds - (time.perf_counter() - start)))
    dim = tables.spec.dim
    states = np.full((16, dim), dim**-0.5, np.float32)
    return writer.receipt(tables, unit, segments, [Embedding(states[0], states)] * len(segments), run_id)


def main() -> None:
    """Both regimes, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pages", type=int, default=800)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source = write(Path(folder) / "docs", options.pages)
        plan = [Planned(asset) for asset in sources.assets(Source(name="bench", uri=(str(source),)))]
        decode = options.pages / alone(plan)
        print(f"decoding alone: {decode:.1f} pages/s")
        on = Cluster(cpus=2, decode_actors=1, encode_actors=1)
        with cluster.connected(on):
            for number, factor in enumerate((2.0, 0.5)):
                regime(plan, on, Path(folder) / f"lake{number}", decode, factor / decode)


def write(folder: Path, pages: int) -> Path:
    """PDFs of eight pages of small print."""
    random = np.random.default_rng(0)
    folder.mkdir()
    for number in range(pages // 8):
        opened = pymupdf.open()
        for _ in range(8):
            text = " ".join("".join(map(chr, random.integers(97, 123, random.integers(2, 11)))) for _ in range(700))
            opened.new_page(width=612, height=792).insert_textbox((40, 40, 572, 760), text, fontsize=9)
        opened.save(folder / f"{number:03}.pdf")
    return folder


def alone(plan: list[Planned]) -> float:
    """Seconds that the decode stage takes for everything when nobody waits for it or competes with it."""
    first = list(cut(plan[:1]))  # the decoder process is up
    start = time.perf_counter()
    for _ in cut(plan):
        pass
    assert first
    return time.perf_counter() - start


POLICY = cutting.Policy("", "bench", "auto", 8192, UNIT_TOKENS, lambda text, *_: [text], Sandbox(Decode()).parts,
                        sampling=SEEN)  # fmt: skip


def cut(plan: list[Planned]) -> Iterator[pa.Table]:
    return units.units(plan, POLICY)


def regime(plan: list[Planned], on: Cluster, folder: Path, decode: float, seconds: float) -> None:
    """One run of the pipeline with a model of `seconds` a page, beside each stage alone."""
    tiny = tiny_vl.encoder(tiny_vl.checkpoint(folder.with_suffix(".tiny"), "qwen3_vl"), "qwen3_vl")
    encoder = tiny.model_copy(update={"sampling": SEEN})
    spec, _ = checkpoint.resolve(encoder, Cut())
    tables = layout.create_encoder(layout.create_lake(str(folder)), spec, None)
    [unit, *_] = cut(plan[:1])
    start = time.perf_counter()
    spend(unit, tables, "alone", seconds)
    encode = len(units.segments(unit)) / (time.perf_counter() - start)
    run = actors.Run("bench", tables.lake.uri, tables.lake.id, spec, encoder, UNIT_TOKENS, 4096)
    fixed = type("FixedTime", (FixedTime,), {"seconds": seconds})
    started, pages = 0.0, 0
    for number, receipt in enumerate(stream.receipts(plan, run, on, fixed)):
        if number == WARM_UP - 1:
            started = time.perf_counter()
        elif number >= WARM_UP:
            pages += len(receipt["pooled"][0])
    rate = pages / (time.perf_counter() - started)
    slower = min(decode, encode)
    print(f"encoder alone: {encode:.1f} pages/s; pipeline: {rate:.1f} pages/s, {rate / slower:.3f} of the slower stage")


if __name__ == "__main__":
    main()
