"""Hidden states <-> bytes: the one place that knows the byte layout.

n states of d dimensions are one value; all numbers are little-endian, all arrays row by row, a row is a state. Every
codec but `bf16` stores a state as the unit vector x; a row of zeros stays one.

`float32`: n x d float32; 4·n·d bytes. x itself.
`bf16`:    n x d bfloat16, the upper halves of float32, rounded to nearest, ties to even; 2·n·d bytes. Holds the state
           as the model gave it, so a bf16 model's bit for bit, and decodes to unit vectors.
`int8`:    n float32 scales, then n x d int8 codes; (4 + d)·n bytes. Row i decodes to scale_i · codes_i with scale_i =
           max|x_i| / 127, so no element is off by more than scale_i / 2.
`int4`:    n float16 scales, then n x h bytes, h = d/2 rounded up; (2 + h)·n bytes. Codes are -7 ... 7 in two's
           complement: dimension j < h in the lower half of byte j, dimension h + j in its upper half; where d is odd
           the last upper half is 0. Decodes as int8 does, with scale_i = max|x_i| / 7 rounded to float16.
`binary`:  n float32 factors, then n x d/8 rounded up bytes of sign bits, the highest bit of a byte first, 1 where x is
           not negative, padded with 0; (4 + d/8)·n bytes. Row i decodes to factor_i · (±1, ... ±1) with factor_i =
           1 / Σ|x_i|, an estimate of x_i and no unit vector: its dot product with x_i is 1, as x_i's own.
"""

from typing import get_args

import numpy as np

from smart_jobs.records import Codec

CODECS: tuple[Codec, ...] = get_args(Codec)
"""From the finest to the coarsest."""

LEVELS = {"int8": 127, "int4": 7}
FACTORS: dict[Codec, str] = {"int8": "<f4", "int4": "<f2", "binary": "<f4"}
"""The type of the number that stands before the codes for each row, where a row decodes to a number times integers."""
BF16_MAX = np.array(0x7F7F0000, np.uint32).view(np.float32)
NEAR = 4e-6
"""How far from 1 the squared norm of a normalised row may be: rounding reaches 1e-6 at 8,192 dimensions."""
SIGNS = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(np.float32) * 2 - 1
"""The eight signs that a byte stands for."""
SIGN_CODES = SIGNS.astype(np.int8).view(np.uint64)[:, 0]
"""The same as eight int8 in one word."""


def unit(rows: np.ndarray) -> np.ndarray:
    """Finite `rows` (n, d) as float32 rows of norm 1; a row of zeros stays one.

    Twice is once, bit for bit. The result may be `rows` itself.
    """
    values = np.ascontiguousarray(rows, np.float32)
    with np.errstate(over="ignore", under="ignore"):
        squares = np.vecdot(values, values)
    near = np.abs(squares - 1) <= NEAR
    if near.all():
        return values
    extreme = (squares < 1e-30) | (squares > 1e30)  # the square is coarse, or not finite
    norms = np.where(near | extreme, np.float32(1), np.sqrt(squares))
    scaled: np.ndarray = values / norms[:, None]
    if extreme.any():
        exact = values[extreme].astype(np.float64)
        lengths = np.linalg.norm(exact, axis=1, keepdims=True)
        scaled[extreme] = exact / np.where(lengths > 0, lengths, 1)
    return scaled


def encode(states: np.ndarray, codec: Codec) -> bytes:
    """The bytes of `states` (n, d), rows of any length. Raises ValueError for another shape, NaN or infinity."""
    if states.ndim != 2 or not np.isfinite(states).all():
        raise ValueError(f"states: expected finite (n, d), found shape {states.shape}")
    values = np.ascontiguousarray(states, np.float32)
    match codec:
        case "float32":
            return unit(values).astype("<f4", copy=False).tobytes()
        case "bf16":
            return _bf16(values).astype("<u2", copy=False).tobytes()
        case "int8":
            scales, codes = _quantised(unit(values), LEVELS["int8"], np.float32)
            return scales.astype("<f4", copy=False).tobytes() + codes.tobytes()
        case "int4":
            scales, codes = _quantised(unit(values), LEVELS["int4"], np.float16)
            return scales.astype("<f2", copy=False).tobytes() + _halves(codes).tobytes()
        case "binary":
            return _binary(unit(values))


def decode(data: bytes | memoryview, n_tokens: int, dim: int, codec: Codec) -> np.ndarray:
    """States (n_tokens, dim) float32: unit vectors within the codec's error, estimates of them for `binary`.

    Raises ValueError where the length does not fit the shape.
    """
    _check_size(data, n_tokens, dim, codec)
    states = np.empty((n_tokens, dim), np.float32)
    decode_into(data, states, codec)
    return states


def decode_into(data: bytes | memoryview, states: np.ndarray, codec: Codec) -> None:
    """Fill `states` (n, d) float32, contiguous, with what `decode` returns for that shape."""
    n_tokens, dim = states.shape
    _check_size(data, n_tokens, dim, codec)
    match codec:
        case "float32":
            states[...] = np.frombuffer(data, "<f4").reshape(n_tokens, dim)
        case "bf16":
            upper = np.frombuffer(data, "<u2").reshape(n_tokens, dim)
            np.left_shift(upper, 16, dtype=np.uint32, out=states.view(np.uint32))
            normal = unit(states)
            if normal is not states:
                states[...] = normal
        case "int8":
            scales = np.frombuffer(data, "<f4", count=n_tokens)
            codes = np.frombuffer(data, np.int8, offset=4 * n_tokens).reshape(n_tokens, dim)
            np.multiply(codes, scales[:, None], dtype=np.float32, out=states)
        case "int4":
            scales = np.frombuffer(data, "<f2", count=n_tokens).astype(np.float32)
            pairs = np.frombuffer(data, np.int8, offset=2 * n_tokens).reshape(n_tokens, (dim + 1) // 2)
            _from_halves(pairs, scales, states)
        case "binary":
            factors = np.frombuffer(data, "<f4", count=n_tokens)
            bits = np.frombuffer(data, np.uint8, offset=4 * n_tokens).reshape(n_tokens, (dim + 7) // 8)
            signs = SIGNS.take(bits, axis=0).reshape(n_tokens, 8 * bits.shape[1])
            np.multiply(signs[:, :dim], factors[:, None], dtype=np.float32, out=states)


def _check_size(data: bytes | memoryview, n_tokens: int, dim: int, codec: Codec) -> None:
    if len(data) != size(n_tokens, dim, codec):
        raise ValueError(f"states of {n_tokens} x {dim} as {codec}: expected {size(n_tokens, dim, codec)} bytes, "
                         f"found {len(data)}")  # fmt: skip


def size(n_tokens: int, dim: int, codec: Codec) -> int:
    """Bytes of `n_tokens` states of `dim` dimensions."""
    return (factor_bytes(codec) + row_bytes(dim, codec)) * n_tokens


def factor_bytes(codec: Codec) -> int:
    """Bytes of a row's factor: those of a value's n rows come first, then their codes row by row."""
    return np.dtype(FACTORS[codec]).itemsize if codec in FACTORS else 0


def row_bytes(dim: int, codec: Codec) -> int:
    """Bytes of a row's codes, its factor not among them."""
    match codec:
        case "float32":
            return 4 * dim
        case "bf16":
            return 2 * dim
        case "int8":
            return dim
        case "int4":
            return (dim + 1) // 2
        case "binary":
            return (dim + 7) // 8


def integers(rows: np.ndarray, codec: Codec) -> np.ndarray:
    """The codes (n, row_bytes) uint8 of a codec with factors as int8 (n, w), w ≥ d: row i decodes to factor_i times it.

    What stands past the last dimension means nothing.
    """
    match codec:
        case "int4":
            pairs = rows.view(np.int8)
            codes = np.empty((len(rows), 2 * rows.shape[1]), np.int8)
            np.right_shift(pairs << 4, 4, out=codes[:, : rows.shape[1]])
            np.right_shift(pairs, 4, out=codes[:, rows.shape[1] :])
            return codes
        case "binary":
            return SIGN_CODES.take(rows).view(np.int8)
        case _:
            return rows.view(np.int8)


def _bf16(values: np.ndarray) -> np.ndarray:
    """The upper halves, uint16, of float32 rounded to nearest, ties to even; no finite value becomes infinite."""
    bits = np.clip(values, -BF16_MAX, BF16_MAX).view(np.uint32)
    rounded: np.ndarray = (bits >> 16) & 1
    rounded += np.uint32(0x7FFF)
    rounded += bits
    return (rounded >> 16).astype(np.uint16)


def _quantised(rows: np.ndarray, levels: int, scale_type: type[np.floating]) -> tuple[np.ndarray, np.ndarray]:
    """Scales (n,) and codes (n, d) int8 of unit rows: the largest element of each becomes ±`levels`."""
    scales = (np.abs(rows).max(axis=1, initial=0) / levels).astype(scale_type)
    steps = rows / np.where(scales > 0, scales, 1).astype(np.float32)[:, None]
    return scales, np.rint(steps, out=steps).astype(np.int8)


def _halves(codes: np.ndarray) -> np.ndarray:
    """Codes -7 ... 7 (n, d) as bytes (n, d/2 rounded up)."""
    half = (codes.shape[1] + 1) // 2
    pairs: np.ndarray = codes[:, :half] & 15
    pairs[:, : codes.shape[1] - half] |= codes[:, half:] << 4
    return pairs


def _from_halves(pairs: np.ndarray, scales: np.ndarray, states: np.ndarray) -> None:
    half, dim = pairs.shape[1], states.shape[1]
    np.multiply((pairs << 4) >> 4, scales[:, None], out=states[:, :half])
    np.multiply(pairs[:, : dim - half] >> 4, scales[:, None], out=states[:, half:])


def _binary(rows: np.ndarray) -> bytes:
    sums = np.abs(rows).sum(axis=1)
    factors = np.divide(1, sums, out=np.zeros_like(sums), where=sums > 0)
    data: bytes = factors.astype("<f4", copy=False).tobytes() + np.packbits(rows >= 0, axis=1).tobytes()
    return data
