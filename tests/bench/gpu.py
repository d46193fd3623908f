"""What a GPU does beside what it could: encoding, late interaction and exact search against the chip's own rates.

    python -m tests.bench.gpu [--parts probes encode maxsim evaluate pooled] [--layers 28] [--pages 128]
                              [--batch-tokens 16384] [--repeats 2] [--small]

For a machine with a GPU, so `make bench` leaves it out. It wants torch, transformers, numpy and pyarrow, and what
transformers and the config bring (tokenizers, safetensors, PyYAML, pydantic, Pillow). Each part is sized for two
minutes of an H200. --small takes them over toy shapes, on a CPU too, to see that they run: its times say nothing.

probes: products of random matrices, copies on the device, uploads from pinned memory. Other parts take their shares of
these. encode: pages of 1,024 and 1,800 tokens and mixed lengths, by an encoder of Qwen3-VL-Embedding-2B's shape with
random weights, packed as an ingest packs them and in the usual loop, 32 at a time in the order they come; both end with
states on the host. A share counts the operations of real tokens only (`gpu_model.flops`). maxsim, evaluate, pooled: see
`tests/bench/gpu_scoring.py`.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from smart_jobs.encode import batched
from smart_jobs.encode.batched import Batched
from smart_jobs.encode.prompts import Prompt
from smart_jobs.lake.states import runs
from smart_jobs.records import Embedding, Segment, Visual
from tests import corpora
from tests.bench import gpu_model, gpu_scoring
from tests.bench.gpu_rates import SMALL, Sizes, probes, seconds, spread

FIXED, UNIT, SIDE = 32, 32_768, 32
"""Items of the usual batch; tokens of a unit of work; pixels a side of a token."""
PARTS = ("probes", "encode", "maxsim", "evaluate", "pooled")


def main() -> None:
    """Run the parts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--layers", type=int, help="of both towers; all unless given")
    parser.add_argument("--pages", type=int, default=128)
    parser.add_argument("--batch-tokens", type=int, default=16_384)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--small", action="store_true")
    options = parser.parse_args()
    if options.small:
        options.pages, options.repeats = min(options.pages, 4), 1
    sizes = SMALL if options.small else Sizes()
    device = batched.device()
    name = torch.cuda.get_device_name() if device.type == "cuda" else platform.processor() or "CPU"
    print(f"{name}, torch {torch.__version__}, {torch.get_num_threads()} threads{', small' if options.small else ''}")
    rates = probes(sizes, device, options.repeats)
    parts: dict[str, Callable[[], None]] = {
        "encode": lambda: encode(sizes, options, rates["bf16"]),
        "maxsim": lambda: gpu_scoring.late(sizes, device, options.repeats, rates),
        "evaluate": lambda: gpu_scoring.evaluate(sizes, device, options.repeats),
        "pooled": lambda: gpu_scoring.pooled(sizes, device, options.repeats, rates["bf16"]),
    }
    for part in options.parts:
        if part in parts:
            started = time.perf_counter()
            parts[part]()
            print(f"({part}: {time.perf_counter() - started:.0f} s in all)")


def page(number: int, rows: int, columns: int) -> Segment:
    """An image of noise, so many tokens down and across; a text of so many characters where `columns` is 0."""
    text, shown = "x" * rows, ()
    if columns:
        pixels = np.random.default_rng(number).integers(0, 256, (1, rows * SIDE, columns * SIDE, 3), dtype=np.uint8)
        text, shown = "", (Visual("image", pixels),)
    return Segment(number, "a", "u", "s", "v", "image", 0, 1, None, "", text, "document", "", {}, visuals=shown)


def corpus(count: int, longest: int) -> list[Segment]:
    """Pages, images and texts of mixed lengths in a random order, cut to `longest` tokens; those under 64 are texts."""
    lengths = [min(length, longest) for length in corpora.mixed(0, count)]
    across = max(1, int(longest**0.5) * 3 // 4)
    return [page(i, n, 0) if n < across else page(i, n // across, across) for i, n in enumerate(lengths)]


def encode(sizes: Sizes, options: argparse.Namespace, rate: float) -> None:
    """Packed passes and the usual loop over each corpus."""
    encoder, config = gpu_model.encoder(options.layers, options.small, options.batch_tokens)
    depths, how = (
        (config.text_config.num_hidden_layers, config.vision_config.depth),
        encoder._model._backbone.model.config,
    )
    print(f"\nencode: {depths[0]} layers, {depths[1]} of the tower, bf16, {how._attn_implementation}")
    for rows, columns in sizes.pages:
        some = [page(i, rows, columns) for i in range(min(8, options.pages))]
        pages = [some[i % len(some)] for i in range(options.pages)]
        encoded(f"pages of {rows * columns:,} tokens", encoder, config, pages, options.repeats, rate)
    encoded("mixed lengths", encoder, config, corpus(options.pages, sizes.longest), options.repeats, rate)


def encoded(title: str, encoder: Batched, config: Any, items: list[Segment], repeats: int, rate: float) -> None:
    """Items a second of both ways, their share of the rate, and whether they agree."""
    prompts = [encoder.prompt(item) for item in items]
    work = sum(gpu_model.flops(config, sum(h * w for _, h, w in made.grids), len(made.ids)) for made in prompts)
    print(f"{title}: {len(items)} items, {sum(len(made.ids) for made in prompts):,} tokens, {work / 1e12:.1f} TFLOP")
    found = {}
    ways = {"packed": lambda: packed(encoder, items, prompts), "32 at a time": lambda: fixed(encoder, items)}
    for name, run in ways.items():
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        times, found[name] = seconds(run, repeats)
        held = torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else 0.0
        print(f"  {name:<14} {spread([len(items) / each for each in times], 'a second')}, "
              f"{work / statistics.median(times) / rate:.3f} of the bf16 rate, {held:.1f} GiB held")  # fmt: skip
    pairs = zip(*found.values(), strict=True)
    assert all(isinstance(result, Embedding) for each in found.values() for result in each)
    print(f"  least cosine between the two: {min(float(one.pooled @ other.pooled) for one, other in pairs):.4f}")


def packed(encoder: Batched, items: Sequence[Segment], prompts: Sequence[Prompt]) -> list[Any]:
    """As an ingest does it: cut into units, each packed under the budget."""
    ends = np.concatenate([[0], np.cumsum([len(made.ids) for made in prompts])])
    return [result for first, last in runs(ends, UNIT) for result in encoder.encode(items[first:last])]


def fixed(encoder: Batched, items: Sequence[Segment]) -> list[Any]:
    """As evaluators usually do it: so many at a time, as they come, padded to the longest of them."""
    batches = [items[start : start + FIXED] for start in range(0, len(items), FIXED)]
    return [result for batch in batches for result in encoder._run(batch, [encoder.prompt(item) for item in batch])]


if __name__ == "__main__":
    main()
