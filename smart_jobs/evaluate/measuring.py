"""The measures of a task's rankings, by the definitions that the task names."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from smart_jobs.evaluate import judgements, metrics
from smart_jobs.evaluate.parity import DEPTH, Parity
from smart_jobs.evaluate.tasks import Name, Query, Task

Measures = dict[str, dict[str, float]]
"""By query, by name of the measure."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """What a query found, best first: numbers of candidates (m,) int64, and their scores (m,) float32."""

    candidates: np.ndarray
    scores: np.ndarray

    @classmethod
    def nothing(cls) -> "Ranking":
        """Of a query that could not be encoded."""
        return cls(np.empty(0, np.int64), np.empty(0, np.float32))


Measure = Callable[[Sequence[Ranking]], Measures]
"""Rankings of all queries of a task, in its order -> the measures of each that is measured."""


def depth(measure: str) -> int | None:
    """How many places of a ranking a measure looks at; None: all, or more than its name says."""
    cut = re.search(r"@(\d+)$", measure)
    return int(cut[1]) if cut else None


def of(task: Task, names: Sequence[Name]) -> Measure:
    """How the rankings of a task are measured, where candidates are called `names`: judged once for many rankings.

    A relevant name that is no candidate counts, and is never found. `trec`: queries without anything relevant are left
    out, as trec_eval does. `mmeb`: every query counts, and both parities are there (`judgements.both`).
    """
    numbers = {name: number for number, name in enumerate(names)}
    if task.measures == "mmeb":
        return _mmeb(task, numbers)

    def measured(found: Sequence[Ranking]) -> Measures:
        pairs = zip(task.queries, found, strict=True)
        return {query.name: _trec(query, numbers, ranking) for query, ranking in pairs if query.relevant}

    return measured


def _trec(query: Query, numbers: Mapping[Name, int], ranking: Ranking) -> dict[str, float]:
    grades = np.zeros(len(numbers))
    for name, grade in query.relevant.items():
        if name in numbers:
            grades[numbers[name]] = grade
    return metrics.measure(grades[ranking.candidates], np.array(list(query.relevant.values())))


def _mmeb(task: Task, numbers: Mapping[Name, int]) -> Measure:
    labels = [list(query.relevant) for query in task.queries]
    grades = [list(query.relevant.values()) if task.graded else None for query in task.queries]
    kinds: tuple[Parity, Parity] = ("reference", "corrected")
    judged = [judgements.judge(labels, grades, numbers, kind) for kind in kinds]

    def measured(found: Sequence[Ranking]) -> Measures:
        ranked = _places(found)
        values = judgements.both(*(judgements.measure(ranked, each) for each in judged))
        columns = {name: column.tolist() for name, column in values.items()}
        return {query.name: {name: column[at] for name, column in columns.items()}
                for at, query in enumerate(task.queries)}  # fmt: skip

    return measured


def _places(found: Sequence[Ranking]) -> np.ndarray:
    """(q, depth) int64: the rankings one below the other, deep enough where names come twice."""
    deepest = max((len(ranking.candidates) for ranking in found), default=0)
    places = np.full((len(found), max(deepest, DEPTH)), judgements.NOTHING, np.int64)
    for row, ranking in zip(places, found, strict=True):
        row[: len(ranking.candidates)] = ranking.candidates
    return places


def needed(task: Task, top: int) -> int | None:
    """How many places of a ranking all measures of a task look at, `top` at the least; None: all."""
    return max(top, DEPTH) if task.measures == "mmeb" and not task.local else None
