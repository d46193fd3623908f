"""Sheets with made-up states: each document token is an axis of its own, and each query token lies on some."""

from collections.abc import Sequence

import numpy as np

from smart_jobs import masks
from smart_jobs.draw.lettering import Letters
from smart_jobs.draw.sheet import Sheet
from smart_jobs.encode.prompts import Prompt
from smart_jobs.records import Visual
from smart_jobs.search import explain
from smart_jobs.search.explain import Side

LETTERS = Letters()


def asking(words: Sequence[str]) -> Side:
    return Side(len(words), np.full(len(words), masks.TEXT, np.uint8), words=tuple(words))


def towards(targets: Sequence[int], count: int) -> np.ndarray:
    """Query states (m, d), each on the axis of one document token, and a little on all others."""
    return np.eye(count, dtype=np.float32)[list(targets)] + np.float32(0.01)


def of_visuals(visuals: Sequence[Visual], grids, targets, words=None, said: str = "", letters=LETTERS) -> Sheet:
    """Patches first, then a state for each letter of what is `said`; query token i meets `targets[i]`."""
    patches = sum(int(np.prod(grid)) for grid in grids)
    kind = masks.VIDEO if visuals[0].kind == "video" else masks.IMAGE
    kinds = np.array([kind] * patches + [masks.TEXT] * len(said), np.uint8)
    spans = np.array([(0, 0)] * patches + [(i, i + 1) for i in range(len(said))], np.int64).reshape(-1, 2)
    seen = Prompt(np.zeros(len(kinds), np.int64), kinds, spans, said, tuple(visuals), tuple(grids))
    times = tuple(time for visual in visuals for time in visual.times)
    document = Side(len(kinds), kinds, tuple(grids), times, seen.words())
    met = explain.met(towards(targets, len(kinds)), np.eye(len(kinds), dtype=np.float32))
    query = asking(words or [f"word{i}" for i in range(len(targets))])
    return Sheet.of(met, query, document, seen, letters)


def of_text(text: str, spans, targets, words=None, letters=LETTERS) -> Sheet:
    """A state for each span of characters; query token i meets the token `targets[i]`."""
    kinds = np.full(len(spans), masks.TEXT, np.uint8)
    seen = Prompt(np.zeros(len(spans), np.int64), kinds, np.array(spans, np.int64), text)
    document = Side(len(spans), kinds, words=seen.words())
    met = explain.met(towards(targets, len(spans)), np.eye(len(spans), dtype=np.float32))
    return Sheet.of(met, asking(words or [f"word{i}" for i in range(len(targets))]), document, seen, letters)


def noise(height: int, width: int, frames: int = 1, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3), np.uint8)


def redness(pixels: np.ndarray) -> np.ndarray:
    """How hot pixels (…, 3) are: nothing for greys."""
    values = pixels.astype(int)
    return values[..., 0] - values[..., 1]
