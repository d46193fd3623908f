"""Packed passes beside the reference's batches: how much of what is computed is of use, and the time of both.

    python -m tests.bench.packing

The corpus has the lengths of pages, images, clips and texts in a random order. Ours: units of `--unit` tokens, each
packed under `--budget`. The reference's: 32 items in the corpus's order, padded to the longest. The time is that of a
small random decoder on the CPU over lengths an eighth as long, both in one process and in turn; medians and ranges.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import transformers

from smart_jobs import masks
from smart_jobs.encode import checkpoint, packing
from smart_jobs.encode.prompts import Prompt
from smart_jobs.encode.text import TextModel
from smart_jobs.keys import Cut
from tests import corpora

FIXED = 32
"""Items of a batch in the reference's evaluators."""
SHORTER = 8


def main() -> None:
    """Print the shares, then the times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=1200)
    parser.add_argument("--unit", type=int, default=32768)
    parser.add_argument("--budget", type=int, default=4096)
    parser.add_argument("--timed", type=int, default=128, help="items of the corpus that are timed")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    lengths = corpora.mixed(0, options.items)
    print(f"{len(lengths):,} items of {min(lengths)} to {max(lengths):,} tokens, {sum(lengths):,} in all")
    for name, batches in (("packed", packed(lengths, options.unit, options.budget)), ("fixed", fixed(lengths))):
        computed = sum(len(batch) * max(batch) for batch in batches)
        print(f"{name:8} useful/computed {sum(lengths) / computed:.3f}  passes {len(batches):,}")
    torch.set_num_threads(options.threads)
    shorter = [max(2, length // SHORTER) for length in lengths[: options.timed]]
    timed(shorter, options.unit // SHORTER, options.budget // SHORTER, options.repeats)


def packed(lengths: Sequence[int], unit: int, budget: int) -> list[list[int]]:
    """The lengths of every pass, as an ingest packs them."""
    units = corpora.units(lengths, unit)
    return [[each[i] for i in batch] for each in units for batch in packing.batches(each, budget)]


def fixed(lengths: Sequence[int]) -> list[list[int]]:
    """The lengths of every pass, as the reference forms them."""
    return [list(lengths[start : start + FIXED]) for start in range(0, len(lengths), FIXED)]


def timed(lengths: Sequence[int], unit: int, budget: int, repeats: int) -> None:
    """Seconds of all passes of both, in turn."""
    with tempfile.TemporaryDirectory() as folder:
        model = decoder(Path(folder))
    ways = {"packed": packed(lengths, unit, budget), "fixed": fixed(lengths)}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    run(model, ways["packed"][:3])
    for _ in range(repeats):
        for name, batches in ways.items():
            start = time.perf_counter()
            run(model, batches)
            seconds[name].append(time.perf_counter() - start)
    print(f"{len(lengths)} items of {min(lengths)} to {max(lengths):,} tokens, {sum(lengths):,} in all")
    for name, found in seconds.items():
        print(f"{name:8} {statistics.median(found):.1f} s ({min(found):.1f} ... {max(found):.1f})")


def decoder(folder: Path) -> TextModel:
    """Four layers of 256, so that a token's work outweighs a pass's."""
    from tests import tiny_vl

    tiny_vl.qwen3(folder)
    sizes = {"hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 4, "head_dim": 64, "vocab_size": 300}
    config = transformers.Qwen3Config(**{**tiny_vl.TEXT, **sizes})
    tiny_vl.fill(transformers.Qwen3Model(config), 0).save_pretrained(folder)
    spec, _ = checkpoint.resolve(tiny_vl.encoder(folder, "text"), Cut())
    return TextModel(spec, folder)


@torch.inference_mode()
def run(model: TextModel, batches: Sequence[Sequence[int]]) -> None:
    """The forward pass of each batch."""
    for batch in batches:
        rows = [np.arange(length) % 256 for length in batch]
        spans = [np.zeros((len(row), 2), np.int64) for row in rows]
        model.forward(
            [Prompt(row, np.full(len(row), masks.TEXT, np.uint8), at) for row, at in zip(rows, spans, strict=True)]
        )


if __name__ == "__main__":
    main()
