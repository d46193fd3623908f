"""Sizes, times and the chip's own rates, for `tests/bench/gpu.py`."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything. `page` in tokens down and across."""

    square: int = 8192
    copied: int = 4 << 30
    uploaded: int = 1 << 30
    pages: tuple[tuple[int, int], ...] = ((32, 32), (45, 40))
    longest: int = 1800
    dim: int = 2048
    documents: int = 1000
    tokens: int = 1024
    long: tuple[int, int] = (128, 1024)
    evaluated: tuple[int, int, int] = (1000, 10_000, 500)
    reference: tuple[int, int] = (32, 500)
    vectors: tuple[int, int, int] = (1_000_000, 10_000, 100)
    tile: int = 131_072


SMALL = Sizes(
    256, 1 << 20, 1 << 20, ((4, 4), (5, 8)), 64, 64, 20, 32, (8, 64), (20, 60, 30), (4, 10), (2000, 50, 10), 512
)


def seconds(work: Callable[[], Any], repeats: int) -> tuple[list[float], Any]:
    """What each of the repeats took, after one that does not count, and what came of the last."""
    times = []
    for _ in range(repeats + 1):
        _wait()
        start = time.perf_counter()
        result = work()
        _wait()
        times.append(time.perf_counter() - start)
    return times[1:], result


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def spread(values: Sequence[float], unit: str) -> str:
    """The median and the range."""
    return f"{statistics.median(values):,.4g} ({min(values):,.4g} ... {max(values):,.4g}) {unit}"


def probes(sizes: Sizes, device: torch.device, repeats: int) -> dict[str, float]:
    """The rates of bf16 and int8 products, in operations a second, and of copies and uploads, in bytes a second."""
    n = sizes.square
    real = [torch.randn(n, n, device=device, dtype=torch.bfloat16) for _ in range(2)]
    whole = [torch.randint(-127, 128, (n, n), device=device, dtype=torch.int8) for _ in range(2)]
    source = torch.randint(0, 256, (sizes.copied,), device=device, dtype=torch.uint8)
    host = torch.randint(0, 256, (sizes.uploaded,), dtype=torch.uint8)
    host = host.pin_memory() if device.type == "cuda" else host
    target = torch.empty_like(source)
    works = {
        "bf16": (2 * n**3, lambda: real[0] @ real[1]),
        "int8": (2 * n**3, lambda: torch._int_mm(whole[0], whole[1].T)),  # a column-major operand, as cuBLASLt wants it
        "copy, read and written": (2 * sizes.copied, lambda: target.copy_(source)),
        "pinned upload": (sizes.uploaded, lambda: target[: sizes.uploaded].copy_(host, non_blocking=True)),
    }
    print(f"probes: products of {n:,} x {n:,}")
    rates = {}
    for name, (work, run) in works.items():
        found = [work / each for each in seconds(run, 5 * repeats)[0]]
        rates[name] = statistics.median(found)
        print(f"{name:<24} {spread([each / 1e12 for each in found], 'T a second')}")
    return rates
