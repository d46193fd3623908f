"""What a report says of an evaluation: values only, ready to be drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

SCORINGS = ("pooled", "late", "hybrid", "two_stage")


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over queries with its 95 % interval: fractions, or a difference of two. One query has no interval."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """A query or candidate as a person sees it: its name, its text, and a small JPEG of what it shows."""

    name: str
    text: str = ""
    picture: bytes | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """A query that went wrong: what was ranked first, what was right, and at which rank that came (None: not found)."""

    query: Shown
    first: Shown
    right: Shown
    rank: int | None
    value: float


@dataclass(frozen=True, slots=True)
class TaskPart:
    """One task. `scores` by scoring, None where the encoder has none; `gain` is hybrid - pooled, paired by query.

    `published` are others' scores of the same measure, fractions by name. `failures` are lines
    for people of the first of the `failed` queries and candidates.
    """

    name: str
    category: str
    modality: str
    primary: str
    queries: int
    candidates: int
    scores: Mapping[str, Estimate | None]
    gain: Estimate | None = None
    published: Mapping[str, float] = field(default_factory=dict)
    unlike_expected: str = ""
    failures: Sequence[str] = ()
    failed: int = 0
    examples: Sequence[Example] = ()


@dataclass(frozen=True, slots=True)
class MeanPart:
    """A mean over `there` of the `of` tasks of a category, a modality or the suite; it is one only if all are there."""

    name: str
    there: int
    of: int
    scores: Mapping[str, Estimate | None]
    gain: Estimate | None = None
    published: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """All of it. `facts` are pairs for the head; `curves` mean primary by λ_late, one line for each name."""

    suite: str
    run_id: str
    encoder: str
    facts: Sequence[tuple[str, str]]
    means: Sequence[MeanPart]
    tasks: Sequence[TaskPart]
    curves: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict)

    @property
    def scorings(self) -> list[str]:
        """The scorings that any task has, in their order."""
        return [name for name in SCORINGS if any(task.scores.get(name) is not None for task in self.tasks)]

    @property
    def peers(self) -> list[str]:
        """Whose published scores are shown, in order of appearance."""
        return list(dict.fromkeys(name for task in self.tasks for name in task.published))
