"""A segment as a model gets it: token ids, and what each of them is."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from smart_jobs import masks
from smart_jobs.encode.tokens import Tokenizer
from smart_jobs.records import Visual

Piece = tuple[str, int]
"""A stretch of a prompt, and what kind its tokens are of; a visual's is one placeholder."""

Grid = tuple[int, int, int]
"""What became of a visual: tokens in time, in height and in width."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """The `ids` of t tokens with a kind each (`smart_jobs.masks`), and the visuals that placeholders stand for.

    `text` is what was tokenized, and `spans` (t, 2) the characters of it that each token stands for, from start to end:
    none for a token that was put in by its id. All tokens of a placeholder stand for the same.
    """

    ids: np.ndarray
    kinds: np.ndarray
    spans: np.ndarray
    text: str = ""
    visuals: tuple[Visual, ...] = ()
    grids: tuple[Grid, ...] = ()

    def take(self, which: np.ndarray) -> "Prompt":
        """The same with some of its tokens, by their places or as a mask (t,)."""
        return replace(self, ids=self.ids[which], kinds=self.kinds[which], spans=self.spans[which])

    def words(self) -> tuple[str, ...]:
        """The characters of each token."""
        return tuple(self.text[start:end] for start, end in self.spans.tolist())


def text(tokenizer: Tokenizer, before: str, said: str) -> Prompt:
    """`before`, an instruction or a prompt, and what is `said`, in the tokenizer's own frame and its length."""
    whole = before + said
    ids, offsets = tokenizer.framed(whole)
    words = np.array([_word(whole, start, end) for start, end in offsets])
    kinds = np.where(words < len(before), masks.INSTRUCTION, masks.TEXT).astype(np.uint8)
    kinds[np.isin(ids, list(tokenizer.special_ids))] = masks.SPECIAL
    return Prompt(ids, kinds, _spans(offsets), whole)


def build(tokenizer: Tokenizer, pieces: Sequence[Piece], counts: Sequence[int], special: Collection[int]) -> Prompt:
    """The prompt of the pieces' concatenation, which is tokenized as one text, its visuals still missing.

    A token over a boundary is of the piece in which its first character lies that is no white space. The placeholder
    of the i-th piece that is visual becomes `counts[i]` tokens. What a tokenizer reads as special is
    `SPECIAL`, but for placeholders; what a document says must have gone through `Tokenizer.plain`.
    """
    whole = "".join(text for text, _ in pieces)
    ids, offsets = tokenizer.spans(whole)
    ends = np.cumsum([len(text) for text, _ in pieces])
    at = np.searchsorted(ends, [_word(whole, start, end) for start, end in offsets], side="right")
    kinds = np.array([kind for _, kind in pieces], np.uint8)[np.minimum(at, len(pieces) - 1)]
    visual = np.isin(kinds, (masks.IMAGE, masks.VIDEO))
    kinds[np.isin(ids, list(special)) & ~visual] = masks.SPECIAL
    repeated = np.ones(len(ids), np.int64)
    repeated[visual] = counts
    return Prompt(np.asarray(ids, np.int64), kinds, _spans(offsets), whole).take(np.arange(len(ids)).repeat(repeated))


def appended(prompt: Prompt, token: int, count: int = 1) -> Prompt:
    """The prompt with `count` special tokens behind it that no text stands for."""
    kinds = np.full(count, masks.SPECIAL, np.uint8)
    ids, spans = np.full(count, token, np.int64), np.zeros((count, 2), np.int64)
    return replace(prompt, ids=np.r_[prompt.ids, ids], kinds=np.r_[prompt.kinds, kinds],
                   spans=np.r_[prompt.spans, spans])  # fmt: skip


def _spans(offsets: Sequence[tuple[int, int]]) -> np.ndarray:
    return np.asarray(offsets, np.int64).reshape(-1, 2)


def _word(text: str, start: int, end: int) -> int:
    """Where a token's first character is that is no white space, else its last: many count in the space before it."""
    while start < end - 1 and text[start].isspace():
        start += 1
    return start
