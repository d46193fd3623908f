"""Which segments share a forward pass: sorted by length, under a budget of padded tokens, with little padding."""

from collections.abc import Sequence

WASTE = 0.02
"""Share of a pass that may be padding."""
SMALL = 1024
"""Padded tokens up to which a pass is worth filling whatever the padding: it costs its overhead anyway."""


def batches(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Indices of `lengths` in batches, each index once, longest first.

    A batch is padded to its longest member; count x longest stays within `budget` tokens, or the batch holds one.
    Beyond `SMALL` tokens it takes no member that would bring its padding above `WASTE`.
    """
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    packed: list[list[int]] = []
    useful = 0
    for i in order:
        padded = (len(packed[-1]) + 1) * lengths[packed[-1][0]] if packed else budget + 1
        within = padded <= budget and (padded <= SMALL or useful + lengths[i] >= (1 - WASTE) * padded)
        if within:
            packed[-1].append(i)
            useful += lengths[i]
        else:
            packed.append([i])
            useful = lengths[i]
    return packed
