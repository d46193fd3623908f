"""Means over the tasks of a suite, each given as such only where all of its tasks are there as the suite has them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

ALL = "ALL"
"""The mean over every task of a suite."""


@dataclass(frozen=True, slots=True)
class Expected:
    """A task as its suite promises it, and the groups whose means it is part of: category, modality.

    `candidates` are the fewest and the most that there may be, in the pool, or for a query where each ranks its own;
    None where the suite does not say.
    """

    task: str
    groups: tuple[str, ...]
    queries: int
    candidates: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Found:
    """What was measured of a task: its score as a fraction, its queries, the fewest and the most candidates.

    Candidates are counted as `Expected` counts them. `failed` queries and candidates could not be encoded: they are
    part of the counts, were found nowhere, and make no mean incomplete, but are told beside it.
    """

    score: float
    queries: int
    candidates: tuple[int, int]
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Mean:
    """A plain mean over tasks, a fraction; None where it has none. `left_out` says why each of the others is no part.

    `failed` are those of the tasks in it.
    """

    name: str
    score: float | None
    tasks: tuple[str, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)
    failed: int = 0

    @property
    def complete(self) -> bool:
        """Whether this is the mean that the name promises."""
        return not self.left_out

    def __str__(self) -> str:
        """In per cent, e.g. `ALL 77.82`, or `ALL 77.91, mean of 77 of 78: MSVD: not measured`."""
        score = "-" if self.score is None else f"{100 * self.score:.2f}"
        failed = f", {self.failed:,} could not be encoded" if self.failed else ""
        if self.complete:
            return f"{self.name} {score}{failed}"
        reasons = "; ".join(f"{task}: {why}" for task, why in self.left_out.items())
        of = len(self.tasks) + len(self.left_out)
        return f"{self.name} {score}, mean of {len(self.tasks)} of {of}{failed}: {reasons}"

    def as_json(self) -> dict[str, object]:
        """For `--json` and reports."""
        of = len(self.tasks) + len(self.left_out)
        return {"score": self.score, "complete": self.complete, "tasks": len(self.tasks), "of": of,
                "left_out": dict(self.left_out), "failed": self.failed}  # fmt: skip


def wanting(expected: Expected, found: Found | None) -> str | None:
    """What is not as the suite promises of a task, in words; None where all is."""
    if found is None:
        return "not measured"
    if found.queries != expected.queries:
        return f"{found.queries:,} queries, expected {expected.queries:,}"
    if expected.candidates is None:
        return None
    (least, most), (fewest, largest) = expected.candidates, found.candidates
    if least <= fewest <= largest <= most:
        return None
    return f"{_range(fewest, largest)} candidates, expected {_range(least, most)}"


def _range(least: int, most: int) -> str:
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def means(suite: Sequence[Expected], found: Mapping[str, Found]) -> list[Mean]:
    """The mean of every group in the order in which the suite first names it, and `ALL` last.

    Each is the plain mean over its tasks, not one of other means. A task that is missing, or has not the promised
    counts, is no part of any mean, and each says so. Raises ValueError where `found` has a task that the suite has not.
    """
    unknown = sorted(found.keys() - {expected.task for expected in suite})
    if unknown:
        raise ValueError(f"no tasks of this suite: {', '.join(unknown)}")
    groups = dict.fromkeys(group for expected in suite for group in expected.groups)
    parts = {group: [expected for expected in suite if group in expected.groups] for group in groups}
    return [_mean(name, part, found) for name, part in [*parts.items(), (ALL, list(suite))]]


def _mean(name: str, part: Sequence[Expected], found: Mapping[str, Found]) -> Mean:
    wanted = {expected.task: wanting(expected, found.get(expected.task)) for expected in part}
    good = tuple(task for task, why in wanted.items() if why is None)
    score = float(np.mean([found[task].score for task in good])) if good else None
    left_out = {task: why for task, why in wanted.items() if why is not None}
    return Mean(name, score, good, left_out, sum(found[task].failed for task in good))
