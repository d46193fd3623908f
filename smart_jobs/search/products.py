"""Products of query tokens with states as they are stored: float32 to its rounding, without decoding codes.

Where a codec stores integers times a factor the product is one of integers. A query token is then a fixed-point number
in three digits of base 256, each an int8, so that three columns of an int8 product, whose sums are exact, give what a
float32 product with the decoded states gives: the last digit's step is 2^-23 of the token's largest element. The first
digit alone is a third of the work, and an approximation with a known bound.

Where a codec stores no integers the sums of a float32 product depend on how it is cut. `exact` ones do not: numbers are
put on a grid (`search/exact.py`) and multiplied as float64, for more than twice the time.
"""

import itertools
from dataclasses import dataclass

import numpy as np
import torch

from smart_jobs import codec
from smart_jobs.lake.states import Packed
from smart_jobs.records import Codec
from smart_jobs.search import compiled
from smart_jobs.search import exact as grid

DIGITS = 3
LANES = 32
"""Columns that torch reduces at once: a maximum over 237 rows takes 2 µs with 32 columns, 14 with 20."""
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
WHOLE = DEVICE.type == "cuda" or torch.cpu._is_vnni_supported()
"""Whether int8 products are faster than float32's here; without VNNI they are slower, and may saturate."""
LOST_ROWS = 64
"""Query tokens looked at at a time, so that what comes in between stays in a cache."""
CUDA_MULTIPLE, CUDA_ROWS = 8, 17
"""What torch._int_mm wants of every dimension on CUDA, and the fewest rows."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """m query tokens on the device, those that fill the lanes included, ready to be multiplied.

    `columns` (w, digits · m) int8, the digits from the first to the last, and `steps` (m,) float32, what a 1 of the
    first digit is worth; or `columns` (d, m) float32 with steps of 1 and digits 0, of float64 where they are exact.
    """

    columns: torch.Tensor
    steps: torch.Tensor
    digits: int


def tokens(values: np.ndarray, kind: Codec, digits: int = DIGITS, *, exact: bool = False) -> Tokens:
    """Query tokens (m, d) float32 for documents stored as `kind`, in `digits` digits where those are integers.

    Tokens of zeros follow them, so that there are a multiple of `LANES`.
    """
    values = np.pad(values, ((0, -len(values) % LANES), (0, 0)))
    if exact and not as_integers(kind):
        columns = torch.from_numpy(grid.whole(values)).T
        worth = grid.STEP if kind in codec.FACTORS else grid.STEP**2
        return Tokens(columns.to(DEVICE), torch.full((len(values),), worth, dtype=torch.float64, device=DEVICE), 0)
    if not as_integers(kind):
        columns = torch.from_numpy(np.ascontiguousarray(values, np.float32)).T  # as it lies: a copy is slower
        return Tokens(columns.to(DEVICE), torch.ones(len(values), device=DEVICE), 0)
    parts, steps = split(values)
    width = codec.integers(np.empty((0, codec.row_bytes(values.shape[1], kind)), np.uint8), kind).shape[1]
    columns = torch.zeros((width, digits * len(values)), dtype=torch.int8, device=DEVICE)
    columns[: values.shape[1]] = parts[:digits].reshape(-1, values.shape[1]).T
    return Tokens(columns, steps, digits)


def as_integers(kind: Codec) -> bool:
    """Whether states stored as `kind` are multiplied as the integers that they are."""
    return kind in codec.FACTORS and WHOLE


def kernel(kind: Codec) -> compiled.Kernel | None:
    """What multiplies states stored as `kind` here, if not torch: integers the same to the bit, floats to rounding."""
    known = as_integers(kind) or kind not in codec.FACTORS
    return compiled.kernel() if known and DEVICE.type == "cpu" else None


def split(values: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows (m, d) as digits (3, m, d) int8 of -128 ... 127, and steps (m,) float32.

    steps · (digit_0 + digit_1 / 256 + digit_2 / 65536) is the row; no element is off by more than steps / 131072.
    """
    rows = torch.from_numpy(np.ascontiguousarray(values, np.float32)).to(DEVICE)
    steps = rows.abs().amax(dim=1) / 127
    steps = torch.where(steps > 0, steps, 1)
    whole = (rows.double() / steps.double()[:, None] * 65536).round_().to(torch.int32)
    digits = torch.empty((DIGITS, *rows.shape), dtype=torch.int8, device=DEVICE)
    for number in range(DIGITS - 1, 0, -1):
        digits[number] = low = ((whole + 128) & 255) - 128  # 128 is -128, and one more in the digit before
        whole = (whole - low) >> 8
    digits[0] = whole
    return digits, steps


def lost(values: np.ndarray) -> np.ndarray:
    """(m,) float64: the norm of what the first digit leaves of each query token."""
    found = np.empty(len(values))
    for begin in range(0, len(values), LOST_ROWS):
        rows = np.asarray(values[begin : begin + LOST_ROWS], np.float32)
        steps = np.abs(rows).max(axis=1, keepdims=True) / np.float32(127)  # as `split`; torch takes longer
        steps = np.where(steps > 0, steps, 1).astype(np.float64)
        whole = np.rint(rows / steps * 65536).astype(np.int32)
        left = rows - ((whole + 128 >> 8) + 128 >> 8) * steps
        found[begin : begin + LOST_ROWS] = np.sqrt((left * left).sum(axis=1))
    return found


def lengths(factors: np.ndarray, dim: int, kind: Codec) -> np.ndarray:
    """What no decoded state's norm exceeds, float64, of states with these factors; it grows with the factor.

    A unit vector and its distance to the state, no element being off by more than half a step; a sign is 1 in each.
    """
    steps: np.ndarray = np.sqrt(dim) * factors.astype(np.float64)
    return steps if kind == "binary" else 1 + (0.5 + 7 * 2**-11) * steps


@dataclass(frozen=True, slots=True)
class Tile:
    """Some document tokens (t, w) on the device, int8 with their factors (t, 1), or float32 or 64 with None."""

    values: torch.Tensor
    factors: torch.Tensor | None


def tile(documents: Packed, begin: int, end: int, *, exact: bool = False) -> Tile:
    """Rows begin ... end of what is stored, as the product with tokens of the same `exact` takes them."""
    rows, kind = documents.rows[begin:end], documents.codec
    if kind not in codec.FACTORS:
        real = floats(rows, kind)
        return Tile(torch.from_numpy(grid.whole(real) if exact else real).to(DEVICE), None)
    factors = torch.from_numpy(documents.factors[begin:end].astype(np.float32)).to(DEVICE)[:, None]
    codes = torch.from_numpy(codec.integers(rows, kind)).to(DEVICE)
    if not WHOLE:
        codes = codes[:, : documents.dim].to(torch.float64 if exact else torch.float32)
    return Tile(codes, factors)


def floats(rows: np.ndarray, kind: Codec) -> np.ndarray:
    """(t, d) float32 of what a codec without factors stores, (t, bytes); of bf16 a copy of norm 1."""
    if kind == "float32":
        return rows.view("<f4")
    return codec.unit(torch.from_numpy(rows.view("<i2")).view(torch.bfloat16).float().numpy())


@dataclass(frozen=True, slots=True)
class Space:
    """Memory for products that is used again: new memory costs more than what is done with it."""

    whole: torch.Tensor
    real: torch.Tensor

    @classmethod
    def of(cls, elements: int, kind: Codec, *, exact: bool = False) -> "Space":
        """Room for that many numbers, for documents stored as `kind`."""
        whole = as_integers(kind)
        real = torch.float64 if exact and not whole else torch.float32
        return cls(
            torch.empty(elements if whole else 0, dtype=torch.int32, device=DEVICE),
            torch.empty(elements, dtype=real, device=DEVICE),
        )


def product(part: Tile, query: Tokens, space: Space) -> torch.Tensor:
    """(t, m): inner products of each document token with each query token, in units of the query's steps.

    They lie in `space`, until the next; float32, or float64 where they are exact.
    """
    t, columns = len(part.values), query.columns.shape[1]
    found = space.real[: t * columns].view(t, columns)
    if not query.digits:
        torch.mm(part.values, query.columns, out=found)
    else:
        found.copy_(_whole(part.values, query.columns, space.whole[: t * columns].view(t, columns)))
        parts = found.chunk(query.digits, dim=1)
        for finer, coarser in itertools.pairwise(reversed(parts)):
            # a power of two: the same to the bit whether fused or not, so a score never depends on its neighbours
            coarser.add_(finer, alpha=1 / 256)
        found = parts[0]
    return found if part.factors is None else found.mul_(part.factors)


def _whole(rows: torch.Tensor, columns: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    """(t, c) int32, exact, of int8 (t, w) and (w, c)."""
    if DEVICE.type == "cpu":
        return torch._int_mm(rows, columns, out=out)
    t, c = out.shape
    wide = -rows.shape[1] % CUDA_MULTIPLE
    rows = torch.nn.functional.pad(rows, (0, wide, 0, max(0, CUDA_ROWS - t)))
    columns = torch.nn.functional.pad(columns, (0, -c % CUDA_MULTIPLE, 0, wide))
    return torch._int_mm(rows, columns)[:t, :c]
