"""An evaluation as text for a person: a table of tasks, means, failures, a sweep."""

from collections.abc import Mapping, Sequence
from typing import Any

SCORINGS = ("pooled", "late", "hybrid", "two_stage")
SHOWN = ("ndcg@10", "recall@10", "recall@100", "mrr@10", "map")
MOST_POINTS, MOST_TASKS = 40, 8
"""Of a sweep: points that are printed, those with the highest means, and tasks that get a column each."""


def evaluate(result: Mapping[str, Any]) -> str:
    """All measures of a single task, or the primary measure of every one; then what failed, and the sweep."""
    tasks = result["tasks"]
    lines = _one(*next(iter(tasks.items()))) if len(tasks) == 1 else _many(tasks, result["means"])
    lines += [line for name, task in tasks.items() for line in _failed(name, task["failures"])]
    if "sweep" in result:
        lines += ["", *_sweep(result["sweep"])]
    lines.append(f"run {result['run_id']}, {result['encoded']:,} segments encoded for it; report {result['report']}")
    return "\n".join(lines)


def _one(name: str, task: Mapping[str, Any]) -> list[str]:
    there = [scoring for scoring in SCORINGS if task[scoring] is not None]
    measures = _measures(task["primary"]["measure"], task[there[0]] if there else {})
    lines = [f"{name}: {task['queries']:,} queries, {task['candidates']:,} candidates"]
    lines.append(f"{'':<12}" + "".join(f"{measure:>16}" for measure in measures))
    lines += [
        f"{scoring:<12}" + "".join(_cell(task[scoring].get(measure)) for measure in measures) for scoring in there
    ]
    if task["two_stage"] is not None:
        stage = task["two_stage"]
        lines.append(f"two_stage is hybrid over the {stage['candidates']:,} segments that the index passed on")
    return lines


def _measures(primary: str, there: Mapping[str, float]) -> list[str]:
    """The usual ones, else the primary and the next that there are."""
    usual = [name for name in SHOWN if name in there]
    return usual or [primary, *(name for name in there if name != primary)][: len(SHOWN)]


def _cell(value: float | None) -> str:
    return f"{'-' if value is None else f'{value:.4f}':>16}"


def _many(tasks: Mapping[str, Mapping[str, Any]], means: Mapping[str, Mapping[str, Any]]) -> list[str]:
    scorings = [scoring for scoring in SCORINGS if any(task[scoring] is not None for task in tasks.values())]
    head = ("task", "category", "queries", "candidates", "measure", *scorings, "failed")
    rows = [head, *(_row(name, task, scorings) for name, task in tasks.items())]
    rows += [_mean_row(name, mean, scorings) for name, mean in means.items()]
    wrong = [f"{name}: {_unlike(task)}" for name, task in tasks.items() if not task["complete"]]
    return [*_table(rows, left=2), *wrong]


def _mean_row(name: str, mean: Mapping[str, Any], scorings: Sequence[str]) -> tuple[str, ...]:
    """A mean over tasks, which says of how many it is where some are left out."""
    whole = f"{mean['tasks']:,}" if mean["tasks"] == mean["of"] else f"{mean['tasks']:,} of {mean['of']:,}"
    scores = (_percent(mean[scoring][0] if mean.get(scoring) else None) for scoring in scorings)
    return (f"mean of {whole}", name, "", "", "", *scores, "")


def _unlike(task: Mapping[str, Any]) -> str:
    """What a task has other than its authors state."""
    return ", ".join(f"{task[side]:,} {side}, expected {count:,}" for side, count in task["expected"].items()
                     if task[side] != count)  # fmt: skip


def _row(name: str, task: Mapping[str, Any], scorings: Sequence[str]) -> tuple[str, ...]:
    primary, failures = task["primary"], task["failures"]
    failed = failures["queries"] + failures["candidates"]
    mark = "" if task["complete"] else "*"
    return (name, task["category"], f"{task['queries']:,}{mark}", f"{task['candidates']:,}{mark}", primary["measure"],
            *(_percent(primary.get(scoring)) for scoring in scorings), f"{failed:,}" if failed else "")  # fmt: skip


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f}"


def _failed(name: str, failures: Mapping[str, Any]) -> list[str]:
    """Beside a task's score what is missing in it."""
    if not failures["queries"] and not failures["candidates"]:
        return []
    why = ", ".join(f"{reason} {count:,}" for reason, count in failures["reasons"].items())
    lines = [f"{name}: {failures['queries']:,} queries and {failures['candidates']:,} candidates could not be encoded "
             f"and count as nothing found: {why}"]  # fmt: skip
    return lines + [f"  {one['side']} {one['name']}: {one['reason']}: {one['detail']}" for one in failures["first"]]


def check(result: Mapping[str, Any]) -> str:
    """What there is of a suite: a line for each task, what is missing of it, and what would be encoded."""
    rows = [("task", "category", "queries", "candidates", "files missing")]
    for name, task in result["tasks"].items():
        rows.append(
            (name, task["category"], _count(task["queries"]), _count(task["candidates"]), _some(task["missing"]))
        )
    said = [f"{name}: {line}" for name, task in result["tasks"].items() for line in _wrong(task)]
    segments = ", ".join(f"{count:,} of {kind}" for kind, count in result["cost"]["segments"].items() if count)
    cost = f"to encode: {segments or 'nothing'}; {result['cost']['frames']:,} frames, "
    cost += f"{result['cost']['bytes'] / 1e9:.1f} GB"
    return "\n".join(
        [*_table(rows, left=2), *said, f"{result['complete']:,} of {result['of']:,} tasks complete; {cost}"]
    )


def _count(count: Mapping[str, int | None]) -> str:
    expected = count["expected"]
    return f"{count['found']:,}" + ("" if expected in (None, count["found"]) else f" of {expected:,}")


def _some(count: int) -> str:
    return f"{count:,}" if count else ""


def _wrong(task: Mapping[str, Any]) -> list[str]:
    missing = (
        [f"missing {', '.join(task['first'])}{' …' * (task['missing'] > len(task['first']))}"] if task["first"] else []
    )
    return [*([task["problem"]] if task["problem"] else []), *missing, *task["remarks"]]


def _sweep(sweep: Mapping[str, Any]) -> list[str]:
    """The points with the highest means, a column for each task where there are few."""
    points = sweep["points"]
    varied = sweep["varied"] or ["lambda_late"]
    tasks = list(sweep["measures"]) if 1 < len(sweep["measures"]) <= MOST_TASKS else []
    order = sorted(range(len(points)), key=lambda at: (-(points[at]["mean"] or 0), at))[:MOST_POINTS]
    rows = [(*varied, "mean", *tasks)]
    rows += [
        (*(f"{points[at][name]}" for name in varied), _percent(points[at]["mean"]),
         *(_percent(points[at]["tasks"][task]) for task in tasks))
        for at in sorted(order)
    ]  # fmt: skip
    measures = ", ".join(sorted(set(sweep["measures"].values())))
    left = f"; {len(points) - len(order):,} lower points are in {sweep['table']}" if len(points) > len(order) else ""
    return [f"sweep, hybrid, {measures} in percent{left}", *_table(rows, left=0), f"chart: {sweep['chart']}"]


def _table(rows: Sequence[Sequence[str]], left: int) -> list[str]:
    """Columns of one width each, the first `left` to the left."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) if at < left else cell.rjust(width)
                  for at, (cell, width) in enumerate(zip(row, widths, strict=True))).rstrip()
        for row in rows
    ]  # fmt: skip
