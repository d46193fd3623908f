"""The late score taken apart: which query token met which document token, and what that adds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from smart_jobs import codec, masks
from smart_jobs.records import JobError


@dataclass(frozen=True, slots=True)
class Side:
    """What the n states of a query or a document are.

    `kinds` (n,) uint8, None where a state stands for no single token; `grids` and `times` as in `records.Embedding`;
    `words` (n,) the characters that each token stands for, None where they are not known.
    """

    count: int
    kinds: np.ndarray | None = None
    grids: tuple[tuple[int, int, int], ...] = ()
    times: tuple[float, ...] = ()
    words: tuple[str, ...] | None = None

    def visual(self) -> np.ndarray:
        """(n,) bool: which states are patches of an image or a video."""
        none: np.ndarray = np.zeros(self.count, bool)
        return none if self.kinds is None else np.isin(self.kinds, masks.VISUAL)

    def places(self) -> np.ndarray:
        """(n, 4) int64: visual, frame, row and column of each patch, from 0; -1 for what is none.

        Patches stand visual by visual, in each frame by frame, row by row. Raises JobError where they are not as many
        as the grids say.
        """
        found = np.full((self.count, 4), -1, np.int64)
        patches = self.visual()
        if not patches.any():
            return found
        cells = [np.c_[np.full(math.prod(grid), at), np.indices(grid).reshape(3, -1).T]
                 for at, grid in enumerate(self.grids)]  # fmt: skip
        if sum(map(len, cells)) != patches.sum():
            raise JobError(f"{patches.sum():,} patches in grids of {sum(map(len, cells)):,}; run `smart-jobs verify`")
        found[patches] = np.concatenate(cells)
        return found

    def seconds(self, frame: int) -> tuple[float, float] | None:
        """From when to when the frames stand that one frame of the grid is made of, where there is one video alone."""
        if len(self.grids) != 1 or not self.times:
            return None
        together = -(-len(self.times) // self.grids[0][0])
        own = self.times[frame * together : (frame + 1) * together]
        return own[0], own[-1]


@dataclass(frozen=True, slots=True)
class Met:
    """`cosines` (m, n) float32 of every query token with every document token, and the `best` (m,) int64 of each row.

    The cosines are inner products of unit vectors with states as their codec gives them: estimates under `binary`.
    """

    cosines: np.ndarray
    best: np.ndarray

    @property
    def maxima(self) -> np.ndarray:
        """(m,) float64: the cosine of each query token with the document token that it met."""
        nearest: np.ndarray = self.cosines[np.arange(len(self.best)), self.best].astype(np.float64)
        return nearest

    @property
    def late(self) -> float:
        """The late score: the mean of the maxima."""
        return float(self.maxima.mean())

    @property
    def adds(self) -> np.ndarray:
        """(m,) float64: what each query token adds to the late score; their sum is the score."""
        parts: np.ndarray = self.maxima / len(self.best)
        return parts

    @property
    def received(self) -> np.ndarray:
        """(n,) float64: what was added at each document token, by all query tokens that met it."""
        parts: np.ndarray = np.bincount(self.best, weights=self.adds, minlength=self.cosines.shape[1])
        return parts


def met(query: np.ndarray, document: np.ndarray) -> Met:
    """Of the states of a query (m, d), of any length, and of a document (n, d), as stored; m and n at least 1.

    Where several document tokens are equally near, the first is the one that is met.
    """
    cosines = (codec.unit(query).astype(np.float64) @ document.astype(np.float64).T).astype(np.float32)
    return Met(cosines, cosines.argmax(axis=1))


@dataclass(frozen=True, slots=True)
class Token:
    """A state: its `number` among its side's, from 0; what it is; its word, or where it lies.

    `kind` is a name of `masks.NAMES`, None where a state stands for no single token. A patch has the number of its
    image or video, its frame, row and column, from 1, the upper left first, and the seconds of its frame in a video.
    """

    number: int
    kind: str | None = None
    word: str | None = None
    visual: int | None = None
    frame: int | None = None
    row: int | None = None
    column: int | None = None
    start: float | None = None
    end: float | None = None

    @property
    def name(self) -> str:
        """What people call it: its word, or where it lies."""
        if self.row is None:
            return f"state {self.number}" if self.word is None else self.word.strip() or repr(self.word)
        place = f"row {self.row}, column {self.column}"
        if self.kind == "video":
            seconds = f" ({self.start:.1f} s)" if self.start is not None else ""
            place = f"frame {self.frame}{seconds}, {place}"
        return f"{self.kind} {self.visual}, {place}" if (self.visual or 1) > 1 else place


def tokens(side: Side) -> list[Token]:
    """All states of a side, in order. Raises JobError as `Side.places` does."""
    if side.kinds is None:
        return [Token(number) for number in range(side.count)]
    return [_token(side, number, place) for number, place in enumerate(side.places().tolist())]


def _token(side: Side, number: int, place: Sequence[int]) -> Token:
    kind = masks.NAMES[side.kinds[number]] if side.kinds is not None else None
    if place[0] < 0:
        return Token(number, kind, side.words[number] if side.words is not None else None)
    seconds = side.seconds(place[1]) or (None, None)
    return Token(number, kind, None, *(at + 1 for at in place), *seconds)


def maps(values: np.ndarray, side: Side) -> list[np.ndarray]:
    """Values (n,) of a document's states as a map (t, h, w) for each of its visuals, none where they are no states."""
    if not side.visual().any():
        return []
    ends = np.cumsum([math.prod(grid) for grid in side.grids])[:-1]
    parts = np.split(values[side.visual()], ends)
    return [part.reshape(grid) for part, grid in zip(parts, side.grids, strict=True)]
