"""Lengths in tokens of corpora that are like real ones."""

import numpy as np


def mixed(seed, count):
    """Half pages (744 ... 1,800 tokens), a fifth images (64 ... 1,280), some clips (500 ... 7,900), the rest texts."""
    rng = np.random.default_rng(seed)
    kinds = rng.choice(4, count, p=[0.5, 0.2, 0.05, 0.25])
    bounds = np.array([[744, 1800], [64, 1280], [500, 7900], [20, 300]])[kinds]
    return rng.integers(bounds[:, 0], bounds[:, 1], endpoint=True).tolist()


def units(lengths, tokens):
    """The lengths in their order, cut into units of at most so many tokens."""
    cut, taken = [[]], 0
    for length in lengths:
        if cut[-1] and taken + length > tokens:
            cut.append([])
            taken = 0
        cut[-1].append(length)
        taken += length
    return cut
