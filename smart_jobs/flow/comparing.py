"""Two evaluations of one lake or two, task by task. Reads their stored rows; starts no Ray and loads no model."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from smart_jobs.evaluate import comparison, judgements
from smart_jobs.evaluate.comparison import Pair
from smart_jobs.flow import evaluations
from smart_jobs.flow.evaluations import Run
from smart_jobs.records import JobError, UsageError
from smart_jobs.settings import Compare

ORDER = ("pooled", "late", "hybrid", "two_stage")
"""Scorings in the order in which they are shown; others by name behind them."""

Pairs = Mapping[str, Pair]
"""The pairs of a task, by scoring."""


def run(job: Compare) -> dict[str, Any]:
    """The JSON object of `smart-jobs compare`: by task and scoring `run` less `base` over the queries of both.

    Raises UsageError where an evaluation is not there, is named by too little, or both are the same, and where no task
    has the measure; JobError where the two have no task in common.
    """
    base = evaluations.find(job.base_lake or job.lake.uri, "base", job.base)
    other = evaluations.find(job.lake.uri, "run", job.run)
    if (base.lake.id, base.run_id) == (other.lake.id, other.run_id):
        raise UsageError(f"base={job.base}, run={job.run}: both are the evaluation {base.run_id}")
    chosen = _chosen(job, base, other)
    values = [evaluations.values(side, chosen) for side in (base, other)]
    tasks = {task: _pairs(*(side.get(task, {}) for side in values)) for task in chosen}
    return {
        "base": _about(base),
        "run": _about(other),
        "tasks": {
            task: {
                "measure": chosen[task],
                "not_in_both": _ordered(base.scorings(task) ^ other.scorings(task)),
                "scorings": {name: _scoring(pair) for name, pair in pairs.items()},
            }
            for task, pairs in tasks.items()
        },
        "mean": _means(list(tasks.values())),
        "changed": _changed(job.changed, (base, other), tasks),
        "without_measure": sorted(base.measured().keys() & other.measured().keys() - chosen.keys()),
        "only_base": sorted(base.measured().keys() - other.measured().keys()),
        "only_run": sorted(other.measured().keys() - base.measured().keys()),
    }


def _about(side: Run) -> dict[str, Any]:
    """What a reader needs to tell two evaluations apart."""
    [row, *_] = [row for row in side.rows if row["scoring"] == "hybrid"] or side.rows
    weights = {name: row[name] for name in ("lambda_pooled", "lambda_late")}
    return {"run_id": side.run_id, "lake": side.lake.uri, "suite": row["suite"], "encoder": side.encoder(), **weights}


def _chosen(job: Compare, base: Run, other: Run) -> dict[str, str]:
    """The tasks of both runs in `base`'s order, each with the measure that it is compared by."""
    measured, theirs = base.measured(), other.measured()
    both = {task: names & theirs[task] for task, names in measured.items() if task in theirs}
    if not both:
        here, there = (", ".join(sorted(names)[: evaluations.LISTED]) for names in (measured, theirs))
        raise JobError(f"{base.run_id} and {other.run_id} have no task in common: {here}; {there}")
    wanted = {task: job.measure or comparison.primary(task, names) for task, names in both.items() if names}
    chosen = {task: name for task, name in wanted.items() if name.removesuffix(judgements.CORRECTED) in both[task]}
    if not chosen:
        there = ", ".join(sorted(set().union(*both.values()))) or "none"
        raise UsageError(f"measure={job.measure}: no task of both has it; measures of both are {there}")
    return chosen


def _pairs(base: Mapping[str, Mapping[str, float]], other: Mapping[str, Mapping[str, float]]) -> Pairs:
    return {name: comparison.pair(base[name], other[name]) for name in _ordered(base.keys() & other.keys())}


def _ordered(scorings: Iterable[str]) -> list[str]:
    return sorted(scorings, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))


def _scoring(pair: Pair) -> dict[str, Any]:
    counts = {"queries": len(pair.queries), "only_base": pair.only_base, "only_run": pair.only_run}
    return {**counts, **comparison.summary([pair])}


def _means(tasks: Sequence[Pairs]) -> dict[str, Any]:
    """By scoring the difference over the tasks that have it in both, each of equal weight."""
    scorings = _ordered({name for pairs in tasks for name in pairs})
    shared = {name: [pairs[name] for pairs in tasks if name in pairs and pairs[name].queries] for name in scorings}
    return {name: {"tasks": len(pairs), **comparison.summary(pairs)} for name, pairs in shared.items()}


def _changed(most: int, sides: Sequence[Run], tasks: Mapping[str, Pairs]) -> list[dict[str, Any]]:
    """Up to `most` queries of each task that changed most, in hybrid if it has that, and what each run ranked first."""
    leading = {task: "hybrid" if "hybrid" in pairs else next(iter(pairs)) for task, pairs in tasks.items() if pairs}
    found = [
        ((task, scoring, pair.queries[at]), float(pair.base[at]), float(pair.run[at]))
        for task, scoring in leading.items()
        for pair in [tasks[task][scoring]]
        for at in comparison.changed(pair, most)
    ]
    first = [evaluations.first(side, {query for (_, _, query), _, _ in found}) for side in sides]
    return [
        {"task": key[0], "scoring": key[1], "query": key[2], "base": base, "run": other,
         "base_first": first[0].get(key), "run_first": first[1].get(key)}
        for key, base, other in found
    ]  # fmt: skip
