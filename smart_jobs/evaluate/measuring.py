"""The measures of a task's rankings, by the definitions that the task names."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from smart_jobs.evaluate import metrics
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


def depth(measure: str) -> int | None:
    """How many places of a ranking a measure looks at; None: all."""
    cut = re.search(r"@(\d+)$", measure)
    return int(cut[1]) if cut else None


def measured(task: Task, names: Sequence[Name], found: Sequence[Ranking]) -> Measures:
    """The measures of each query of the task, in its order; candidates are called `names`.

    Where `task.measures` is `trec`, queries without a relevant candidate are left out, as trec_eval does: they would
    only dilute the mean. A relevant name that is no candidate counts, and is not found.
    """
    numbers = {name: number for number, name in enumerate(names)}
    pairs = zip(task.queries, found, strict=True)
    return {query.name: _trec(query, numbers, ranking) for query, ranking in pairs if query.relevant}


def _trec(query: Query, numbers: Mapping[Name, int], ranking: Ranking) -> dict[str, float]:
    grades = np.zeros(len(numbers))
    for name, grade in query.relevant.items():
        if name in numbers:
            grades[numbers[name]] = grade
    return metrics.measure(grades[ranking.candidates], np.array(list(query.relevant.values())))
