"""How many lists a query visits and how many candidates it passes on, from measured recall."""

import numpy as np

DEPTHS = (100, 200, 500, 1_000)
"""Candidates that are tried. Fewer hold the nearest by pooled score, but not those that late scores put first."""


def ladder(lists: int) -> list[int]:
    """Numbers of lists that are tried: powers of two, and all of them."""
    return [*(1 << step for step in range((lists - 1).bit_length())), lists]


def choose(measured: np.ndarray, nprobes: list[int], target: float) -> tuple[int, int] | None:
    """The fewest candidates with which any number of lists reaches `target`, and the fewest lists for those.

    `measured` (nprobes, `DEPTHS`) is recall. Candidates come first: each costs a late interaction, a list only a scan
    of codes. None where the target is out of reach.
    """
    for column, candidates in enumerate(DEPTHS):
        reached = np.flatnonzero(measured[:, column] >= target)
        if len(reached):
            return nprobes[reached[0]], candidates
    return None
