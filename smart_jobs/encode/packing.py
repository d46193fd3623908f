"""Which segments share a forward pass: sorted by length, under a budget of padded tokens."""

from collections.abc import Sequence


def batches(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Indices of `lengths` in batches, each index once, longest first.

    A batch is padded to its longest member; count x longest stays within `budget` tokens, or the batch holds one.
    """
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    packed: list[list[int]] = []
    for i in order:
        if packed and (len(packed[-1]) + 1) * lengths[packed[-1][0]] <= budget:
            packed[-1].append(i)
        else:
            packed.append([i])
    return packed
