"""Inner products of unit vectors that are the same to the bit however they are cut, on however many threads.

Floating-point sums depend on their order, and the order on the shapes of the matrices. On a grid of 2^-26 unit vectors
are whole numbers a and b with |a|·|b| ≤ 2^52, so that by Cauchy-Schwarz no sum of products that turns up on the way is
larger: float64 holds every one exactly, in any order. The grid costs a product of d dimensions some 2^-27, less than
float32 rounds its result by.
"""

import numpy as np

STEP = 2.0**-26
"""Of the grid."""

ROWS = 1024
"""Vectors of either side that are multiplied at a time: 8·ROWS·d bytes each, and as many products."""


def whole(rows: np.ndarray) -> np.ndarray:
    """(n, d) of norm 1, or 0, as float64 multiples of `STEP`."""
    return np.rint(rows.astype(np.float64) / STEP)


def products(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(q, n) float32: the inner product of each row of `one` (q, d) with each of `other` (n, d), all of norm 1."""
    found = np.empty((len(one), len(other)), np.float32)
    for first in range(0, len(other), ROWS):
        columns = whole(other[first : first + ROWS]).T
        for begin in range(0, len(one), ROWS):
            exact = whole(one[begin : begin + ROWS]) @ columns
            found[begin : begin + ROWS, first : first + ROWS] = exact * STEP**2
    return found
