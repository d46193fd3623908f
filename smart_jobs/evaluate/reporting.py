"""Scored tasks -> what a report says of them: scores with intervals, gains, means, and the queries that went wrong."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from smart_jobs.evaluate import completeness, intervals
from smart_jobs.evaluate.completeness import Expected, Found
from smart_jobs.evaluate.report import SCORINGS, Estimate, Example, MeanPart, Shown, TaskPart
from smart_jobs.evaluate.scoring import Result
from smart_jobs.evaluate.tasks import Item, Name, Query, Task

WORST = 5
"""Queries of a task that are shown."""

Picture = Callable[[Item], bytes | None]
"""A small JPEG of what an item shows; None where it shows nothing, or cannot be read."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A task as the suite has it: its primary measure, values (q,) by scoring, over one order of queries.

    `counts` are what `completeness` compares: queries, the fewest and the most candidates, what failed.
    """

    name: str
    groups: tuple[str, ...]
    values: Mapping[str, np.ndarray]
    counts: Found
    published: Mapping[str, float]


def measured(task: Task, results: Sequence[Result], candidates: int, failed: int) -> Measured:
    """What means are made of. `candidates` is the size of the pool where all queries rank the same."""
    names = list(results[0].measures) if results else []
    values = {
        result.scoring: np.array([result.measures[name][task.primary] for name in names]) for result in results if names
    }
    own = [len(query.candidates) for query in task.queries if query.candidates is not None] or [candidates]
    score = float(np.mean(values.get("hybrid", values["late"]))) if values else 0.0
    counts = Found(score, len(task.queries), (min(own), max(own)), failed)
    groups = tuple(name for name in (task.category, task.modality) if name)
    return Measured(task.name, groups, values, counts, task.published)


def estimates(tasks: Sequence[Mapping[str, np.ndarray]]) -> dict[str, Estimate | None]:
    """The mean over tasks of each scoring that all of them have."""
    return {name: _estimate([task[name] for task in tasks]) for name in SCORINGS if all(name in task for task in tasks)}


def _estimate(values: Sequence[np.ndarray]) -> Estimate | None:
    if not values:
        return None
    found = intervals.mean(values)
    return Estimate(found.mean, found.low, found.high)


def gain(tasks: Sequence[Mapping[str, np.ndarray]]) -> Estimate | None:
    """What hybrid gains over pooled, query by query; None where a task has not both."""
    if not tasks or any(name not in task for task in tasks for name in ("pooled", "hybrid")):
        return None
    found = intervals.difference([task["pooled"] for task in tasks], [task["hybrid"] for task in tasks]).interval
    return Estimate(found.mean, found.low, found.high)


def means(tasks: Sequence[Measured], promised: Sequence[Expected]) -> list[MeanPart]:
    """The mean of every group that a measured task is in, and of the whole suite, last.

    A task with other counts than the suite promises is no part of any; each says of how many tasks it is.
    """
    by_name = {task.name: task for task in tasks if task.values}
    promised = promised or [Expected(task.name, task.groups, task.counts.queries, None) for task in tasks]
    found = completeness.means(promised, {name: task.counts for name, task in by_name.items()})
    return [_mean([by_name[name] for name in mean.tasks], mean) for mean in found if mean.tasks]


def _mean(tasks: Sequence[Measured], mean: completeness.Mean) -> MeanPart:
    values = [task.values for task in tasks]
    peers = dict.fromkeys(name for task in tasks for name in task.published)
    published = {
        peer: float(np.mean([task.published[peer] for task in tasks]))
        for peer in peers
        if all(peer in task.published for task in tasks)
    }
    return MeanPart(mean.name, len(tasks), len(tasks) + len(mean.left_out), estimates(values), gain(values), published)


def task_part(
    task: Task, own: Measured, results: Sequence[Result], expected: Expected | None, failures: Sequence[str],
    picture: Picture,
) -> TaskPart:  # fmt: skip
    """A task's part of the report. `failures` are lines for people, of the first that could not be encoded."""
    values = [own.values] if own.values else []
    ranked = {result.scoring: result for result in results}
    shown = ranked.get("hybrid", ranked.get("late"))
    unlike = None if expected is None else completeness.wanting(expected, own.counts)
    return TaskPart(
        task.name, task.category, task.modality, task.primary, own.counts.queries, own.counts.candidates[1],
        estimates(values) if values else {}, gain(values), task.published, unlike or "", failures, own.counts.failed,
        [] if shown is None else examples(task, shown, picture),
    )  # fmt: skip


def examples(task: Task, result: Result, picture: Picture) -> list[Example]:
    """The queries with the lowest primary measure, of equal ones those whose right candidate came last; all below 1."""
    by_name = {query.name: query for query in task.queries}
    places = {name: _place(by_name[name], result) for name in result.measures}
    wrong = [name for name, row in result.measures.items() if row[task.primary] < 1 and by_name[name].relevant]
    wrong.sort(key=lambda name: (result.measures[name][task.primary], -(places[name] or math.inf)))
    return [_example(task, by_name[name], result, places[name], picture) for name in wrong[:WORST]]


def _place(query: Query, result: Result) -> int | None:
    """The rank of the first relevant hit."""
    names = (rank for rank, (name, _) in enumerate(result.hits[query.name], 1) if name in query.relevant)
    return next(names, None)


def _example(task: Task, query: Query, result: Result, place: int | None, picture: Picture) -> Example:
    hits = result.hits[query.name]
    name, score = hits[place - 1] if place is not None else (next(iter(query.relevant)), None)
    first = _shown(task, *hits[0], picture) if hits else Shown("nothing")
    asked = Shown(query.name, _said(query.item), picture(query.item))
    right = _shown(task, name, score, picture)
    return Example(asked, first, right, place, result.measures[query.name][task.primary])


def _shown(task: Task, name: Name, score: float | None, picture: Picture) -> Shown:
    item = task.candidates.get(name)
    if item is None:
        return Shown(str(name), score=score)
    said = _said(item)
    return Shown("" if str(name) == said else str(name), said, picture(item), score)


def _said(item: Item) -> str:
    return "\n".join(filter(None, (item.instruction.strip(), item.title, item.text.strip())))
