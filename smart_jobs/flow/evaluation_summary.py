"""What an evaluation says of its tasks: the objects of its JSON, means over tasks, a line of progress."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from smart_jobs.evaluate.scoring import Result
from smart_jobs.evaluate.tasks import Task
from smart_jobs.flow.suite_items import Failures
from smart_jobs.flow.task_scoring import Scored

SCORINGS = ("pooled", "late", "hybrid", "two_stage")


def of_task(found: Scored, results: Sequence[Result], candidates: int | None) -> dict[str, Any]:
    """The JSON object of a task: null for a scoring that the encoder or the task has not."""
    task, measured = found.task, {result.scoring: _rounded(result.mean()) for result in results}
    content: dict[str, Any] = {
        "queries": len(task.queries),
        "candidates": len(found.pool.names),
        **{scoring: measured.get(scoring) for scoring in SCORINGS},
        "primary": {"measure": task.primary, **_primary(measured, task.primary)},
        "category": task.category,
        "modality": task.modality,
        "expected": dict(task.expected),
        "complete": _complete(task, len(found.pool.names)),
        "failures": _failures(found.failures),
        "seconds": round(found.seconds, 3),
    }
    if "two_stage" in measured:
        content["two_stage"] = {"candidates": candidates, **measured["two_stage"], "loss": _loss(measured)}
    return content


def _primary(measured: Mapping[str, Mapping[str, float]], name: str) -> dict[str, float | None]:
    return {scoring: measured[scoring].get(name) for scoring in SCORINGS if scoring in measured}


def _loss(measured: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """What two stages lose against hybrid over everything, measure by measure; where that is late, against late."""
    whole = measured.get("hybrid", measured["late"])
    return _rounded({name: value - measured["two_stage"][name] for name, value in whole.items()})


def _complete(task: Task, candidates: int) -> bool:
    """Whether there are as many queries and candidates as the suite's authors state."""
    found = {"queries": len(task.queries), "candidates": candidates}
    return all(found[what] == count for what, count in task.expected.items())


def _failures(found: Failures) -> dict[str, Any]:
    return {"queries": found.queries, "candidates": found.candidates, "reasons": dict(found.reasons),
            "first": [asdict(failure) for failure in found.first]}  # fmt: skip


def _rounded(measures: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 6) for name, value in measures.items()}


def means(tasks: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The plain mean over tasks of every measure that all of them have, by scoring; null where not every task has it.

    `primary` is the same of each task's primary measure. Means of a suite's groups, and of the suite as its authors
    state it, are the report's.
    """
    found: dict[str, Any] = {name: _mean([_measures(task[name]) for task in tasks.values()]) for name in SCORINGS}
    if found["two_stage"] is None:
        del found["two_stage"]
    primaries = [{key: value for key, value in task["primary"].items() if key != "measure"} for task in tasks.values()]
    return {**found, "primary": _mean(primaries)}


def _measures(scoring: Mapping[str, Any] | None) -> dict[str, float] | None:
    """What was measured, without what a second stage says of itself."""
    return None if scoring is None else {name: value for name, value in scoring.items() if isinstance(value, float)}


def _failed(task: Mapping[str, Any]) -> int:
    return int(task["failures"]["queries"] + task["failures"]["candidates"])


def _mean(parts: Sequence[Mapping[str, float | None] | None]) -> dict[str, float] | None:
    there = [part for part in parts if part is not None]
    if not there or len(there) < len(parts):
        return None
    columns = {name: [part.get(name) for part in there] for name in there[0]}
    values = {name: [value for value in column if value is not None] for name, column in columns.items()}
    return {name: round(float(np.mean(row)), 6) for name, row in values.items() if len(row) == len(there)}


def line(name: str, number: int, of: int, task: Mapping[str, Any]) -> str:
    """One line for a person: the task's primary measure under each scoring, its size, what failed."""
    primary = task["primary"]
    scores = ", ".join(f"{scoring} {primary[scoring]:.4f}" for scoring in SCORINGS if primary.get(scoring) is not None)
    failed = _failed(task)
    wrong = f", {failed:,} could not be encoded" if failed else ""
    wrong += "" if task["complete"] else f", expected {_counts(task['expected'])}"
    size = f"{task['queries']:,} queries x {task['candidates']:,} candidates"
    measured = f"{primary['measure']} {scores or 'not measured'}"
    return f"evaluate: {name} ({number} of {of}): {measured}; {size}{wrong}; {task['seconds']:.1f} s"


def _counts(expected: Mapping[str, int]) -> str:
    return " and ".join(f"{count:,} {what}" for what, count in expected.items())
