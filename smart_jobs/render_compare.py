"""Two evaluations side by side, as text for a person."""

from collections.abc import Mapping, Sequence
from typing import Any

HEAD = ("task", "measure", "scoring", "queries", "base", "run", "run - base", "95 % interval", "p", "better", "worse")
WORDS = 3
"""Columns that stand to the left: they hold words."""


def compare(result: Mapping[str, Any]) -> str:
    """Which two, a line for each task and scoring, the means over tasks, what is not in both, what changed most."""
    rows = [
        (task, content["measure"], scoring, f"{found['queries']:,}", *_numbers(found))
        for task, content in result["tasks"].items()
        for scoring, found in content["scorings"].items()
    ]
    if len(result["tasks"]) > 1:
        rows += [
            (f"mean of {found['tasks']}", "", scoring, "", *_numbers(found))
            for scoring, found in result["mean"].items()
        ]
    lines = [f"{side:<6}{_about(result[side])}" for side in ("base", "run")]
    return "\n".join([*lines, "", *_table([HEAD, *rows]), *_beside(result), *_changed(result["changed"])])


def _about(side: Mapping[str, Any]) -> str:
    weights = f"hybrid {side['lambda_pooled']:g} pooled + {side['lambda_late']:g} late"
    return f"{side['run_id']}  {side['suite']}  {side['encoder']}  {weights}  {side['lake']}"


def _numbers(found: Mapping[str, Any]) -> tuple[str, ...]:
    if found["difference"] is None:
        return ("-",) * (len(HEAD) - WORDS - 1)
    interval = "-" if found["low"] is None else f"{found['low']:+.4f} … {found['high']:+.4f}"
    return (f"{found['base']:.4f}", f"{found['run']:.4f}", f"{found['difference']:+.4f}", interval,
            f"{found['p']:.2g}", f"{found['better']:,}", f"{found['worse']:,}")  # fmt: skip


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[at]) for row in rows) for at in range(len(HEAD))]
    return [
        "  ".join(
            cell.ljust(width) if at < WORDS else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _beside(result: Mapping[str, Any]) -> list[str]:
    """What only one of the two has: queries, scorings, tasks."""
    lines = []
    for task, content in result["tasks"].items():
        counts = {(found["only_base"], found["only_run"]) for found in content["scorings"].values()} - {(0, 0)}
        lines += [f"{task}: {base:,} queries only in base, {run:,} only in run" for base, run in sorted(counts)]
        lines += [f"{task}: {name} not in both" for name in content["not_in_both"]]
    said = {"only_base": "only in base", "only_run": "only in run", "without_measure": "without that measure"}
    lines += [f"tasks {what}: {', '.join(result[key])}" for key, what in said.items() if result[key]]
    return ["", *lines] if lines else []


def _changed(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = []
    for row in rows:
        first = [row[f"{side}_first"] or "nothing" for side in ("base", "run")]
        ranked = f"first {first[0]} -> {first[1]}" if first[0] != first[1] else f"first {first[0]} in both"
        lines.append(
            f"  {row['run'] - row['base']:+.4f}  {row['task']}  {row['query']}  {row['scoring']}  "
            f"{row['base']:.4f} -> {row['run']:.4f}  {ranked}"
        )
    return ["", "queries that changed most", *lines] if lines else []
