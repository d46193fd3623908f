"""Which segments share a forward pass: neighbours in length, under a budget of padded tokens, at the least cost."""

from collections.abc import Sequence

import numpy as np

OVERHEAD = 100
"""What a pass costs beside its padded tokens, in tokens: so much padding is worth one pass less."""


def batches(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Indices of `lengths` in batches, each index once, longest first.

    A batch is padded to its longest member; count x longest stays within `budget` tokens, or the batch holds one. Of
    all ways to cut the sorted lengths so, the one with the least padded tokens + `OVERHEAD` x batches.
    """
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    least = np.full(len(order) + 1, np.inf)  # the cost of the first so many
    least[0] = 0
    begun = np.zeros(len(order) + 1, np.int64)  # where their last batch begins
    for start, i in enumerate(order):
        most = max(1, budget // max(1, lengths[i]))
        ends = slice(start + 1, min(start + most, len(order)) + 1)
        cost = least[start] + OVERHEAD + lengths[i] * np.arange(1, ends.stop - start)
        better = cost < least[ends]
        least[ends][better], begun[ends][better] = cost[better], start
    packed: list[list[int]] = []
    end = len(order)
    while end:
        packed.append(order[begun[end] : end])
        end = int(begun[end])
    return packed[::-1]
