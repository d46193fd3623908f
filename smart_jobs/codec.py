"""Hidden states <-> bytes: the one place that knows the byte layout.

`float32`: n x d little-endian float32, row by row; 4·n·d bytes. Bit-exact.
`int8`:    n little-endian float32 scales, then n x d int8 codes, row by row; (4 + d)·n bytes. Row i decodes to
           scale_i · codes_i with scale_i = max|x_i| / 127, so no element is off by more than scale_i / 2.
"""

from typing import Literal, get_args

import numpy as np

Codec = Literal["float32", "int8"]
CODECS: tuple[str, ...] = get_args(Codec)
LEVELS = 127
LARGEST = np.nextafter(np.finfo(np.float32).max / np.float32(LEVELS), np.float32(0))
"""The largest scale whose 127-fold is still finite in float32."""


def encode(states: np.ndarray, codec: Codec) -> bytes:
    """The bytes of `states` (n, d) float32. Raises ValueError for another shape, NaN or infinity."""
    if states.ndim != 2 or not np.isfinite(states).all():
        raise ValueError(f"states: expected finite (n, d), found shape {states.shape}")
    values = np.ascontiguousarray(states, dtype="<f4")
    if codec == "float32":
        return values.tobytes()
    scales = np.minimum(np.abs(values).max(axis=1, initial=0.0) / LEVELS, LARGEST)
    steps = np.rint(values / np.where(scales > 0, scales, 1)[:, None])
    codes = np.clip(steps, -LEVELS, LEVELS).astype(np.int8)  # the scale of a subnormal row is coarse itself
    data: bytes = scales.astype("<f4").tobytes() + codes.tobytes()
    return data


def decode(data: bytes | memoryview, n_tokens: int, dim: int, codec: Codec) -> np.ndarray:
    """`states` (n_tokens, dim) float32. Raises ValueError where the length does not fit the shape."""
    if len(data) != size(n_tokens, dim, codec):
        raise ValueError(f"states of {n_tokens} x {dim} as {codec}: expected {size(n_tokens, dim, codec)} bytes, "
                         f"found {len(data)}")  # fmt: skip
    if codec == "float32":
        return np.frombuffer(data, dtype="<f4").reshape(n_tokens, dim).astype(np.float32)
    scales = np.frombuffer(data, dtype="<f4", count=n_tokens)
    codes = np.frombuffer(data, dtype=np.int8, offset=4 * n_tokens).reshape(n_tokens, dim)
    states: np.ndarray = np.multiply(codes, scales[:, None], dtype=np.float32)
    return states


def size(n_tokens: int, dim: int, codec: Codec) -> int:
    """Bytes of `n_tokens` states of `dim` dimensions."""
    return n_tokens * (4 * dim if codec == "float32" else 4 + dim)
