"""The rows of an annotation as they are, before a profile words them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from smart_jobs.evaluate.tasks import Name


@dataclass(frozen=True, slots=True)
class Shown:
    """What is to be seen: an image, or a video that is a folder of frames, by its path beneath the task's media.

    `clip`: a candidate cut from a video, which may have a number of frames of its own. `kept` is where the annotations
    have the image themselves, as file, column and row; it is taken where there is no file.
    """

    kind: Literal["image", "video"]
    path: str
    clip: bool = False
    kept: tuple[str, str, int] | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """One side of a pair as the row has it: text, the row's own instruction if it brings one, something to see."""

    text: str = ""
    instruction: str = ""
    shown: Shown | None = None


@dataclass(frozen=True, slots=True)
class Pair:
    """A query with the candidates that its row names, repetitions included, and the grades of the relevant ones."""

    query: Said
    candidates: Sequence[tuple[Name, Said]]
    relevant: Mapping[Name, float]


@dataclass(frozen=True, slots=True)
class Choice:
    """A question about a video with its options; `answer` is the place of the right one, or what it says."""

    shown: Shown
    question: str
    options: Sequence[str]
    answer: int | str


@dataclass(frozen=True, slots=True)
class Parsed:
    """A dataset: its rows in the file's order, and the candidates that no row needs to name."""

    rows: Iterator[Pair | Choice]
    corpus: Iterable[tuple[Name, Said]] = ()
