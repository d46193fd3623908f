"""What a token is, and which tokens a named mask keeps."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

Mask = Literal["reference", "content", "visual", "text"]

SPECIAL, TEMPLATE, INSTRUCTION, TEXT, IMAGE, VIDEO, TIME = range(7)
"""The kinds of tokens: marks that a tokenizer declares special; constant words of the template (role names, line
ends); the instruction or prompt; the segment's own text; what an image became, and what a video's frames became; the
timestamps that are written before frames."""

NAMES = ("special", "template", "instruction", "text", "image", "video", "timestamp")
"""The kinds as people call them."""

VISUAL = (IMAGE, VIDEO)

POLICIES: Mapping[Mask, frozenset[int]] = {
    "reference": frozenset({TEMPLATE, INSTRUCTION, TEXT, IMAGE, VIDEO, TIME}),
    "content": frozenset({TEXT, IMAGE, VIDEO}),
    "visual": frozenset({IMAGE, VIDEO}),
    "text": frozenset({TEMPLATE, INSTRUCTION, TEXT, TIME}),
}
"""The kinds that a mask keeps: `reference` as SMART's evaluators do, all that is not special; `content` what is the
segment's own; `visual` and `text` (as GME's evaluator masks queries) the one or the other side of a mixed segment."""


def keep(kinds: np.ndarray, mask: Mask) -> np.ndarray:
    """(t,) kinds -> (t,) bool: the tokens that `mask` keeps."""
    return np.isin(kinds, list(POLICIES[mask]))


def runs(kinds: np.ndarray) -> list[int]:
    """(t,) kinds as kind, count, kind, count, …: a page is a handful of runs."""
    return [int(value) for kind, group in itertools.groupby(kinds.tolist()) for value in (kind, len(list(group)))]


def kinds(stored: Sequence[int]) -> np.ndarray:
    """The (t,) uint8 kinds that `runs` made these numbers of."""
    return np.repeat(np.asarray(stored[::2], np.uint8), np.asarray(stored[1::2], np.int64))
