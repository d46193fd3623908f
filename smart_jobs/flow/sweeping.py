"""A sweep over ways to score: gathered task by task, then a table and a chart in the lake."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from smart_jobs import storage
from smart_jobs.evaluate import charts, sweeps, views
from smart_jobs.evaluate.sweeps import Point
from smart_jobs.evaluate.views import View
from smart_jobs.flow.task_scoring import Scored
from smart_jobs.lake.layout import EncoderTables, Lake
from smart_jobs.settings import Evaluate

WEIGHTS = ("lambda_late", "lambda_pooled")
SAID = {"lambda_late": "λ_late ", "lambda_pooled": "λ_pooled ", "mask_query": "query "}
"""What stands before a value where several keys are told side by side."""


class Swept:
    """The primary measure of every task so far at each point."""

    def __init__(self, job: Evaluate, documents: EncoderTables, looks: list[View]) -> None:
        """`looks` are the views in the order in which tasks are scored under them."""
        self._points, self._looks, self._documents = sweeps.points(job), looks, documents
        self._seen = [self._as_scored(point, documents) for point in self._points]
        self._tasks: dict[str, list[float | None]] = {}
        self._measures: dict[str, str] = {}

    @staticmethod
    def _as_scored(point: Point, documents: EncoderTables) -> Point:
        return Point(point.weights.of(documents.spec), views.checked(point.view, documents))

    def add(self, found: Scored) -> None:
        """Take a task's scores: weights are arithmetic on them."""
        name = found.task.name
        self._tasks[name] = sweeps.primaries(found.task, found.pool, found.found, self._looks, self._seen)
        self._measures[name] = found.task.primary

    def finish(self, lake: Lake, run_id: str) -> dict[str, Any]:
        """The object of the JSON, which is written beside its chart into `<lake>/reports/<run id>`.

        A crash between the two leaves one of them; the next run has another folder.
        """
        points = [self._row(at, point) for at, point in enumerate(self._points)]
        table, drawn = (storage.join(lake.uri, "reports", run_id, f"sweep.{kind}") for kind in ("json", "svg"))
        found = {
            "measures": self._measures,
            "points": points,
            "varied": sweeps.varied(points),
            "best": _best(points),
            "table": table,
            "chart": drawn,
        }
        storage.write_bytes(table, json.dumps(found, indent=2).encode())
        storage.write_bytes(drawn, self._drawn(points).encode())
        return found

    def _drawn(self, points: Sequence[Mapping[str, Any]]) -> str:
        """A line for each combination of all but the weight of which there are most values."""
        across = max(WEIGHTS, key=lambda name: len({point[name] for point in points}))
        varied = [name for name in sweeps.varied(points) if name != across]
        curves: dict[str, list[tuple[float, float]]] = {}
        for point in points:
            label = " ".join(f"{SAID.get(name, '')}{point[name]}" for name in varied) or "hybrid"
            mean = float("nan") if point["mean"] is None else 100 * point["mean"]
            curves.setdefault(label, []).append((point[across], mean))
        measures = ", ".join(sorted(set(self._measures.values())))
        over = f", mean of {len(self._measures)} tasks" if len(self._measures) > 1 else ""
        return charts.lines(
            {name: sorted(places) for name, places in curves.items()}, across, f"{measures}{over}, percent"
        )

    def _row(self, at: int, point: Point) -> dict[str, Any]:
        tasks = {name: _rounded(values[at]) for name, values in self._tasks.items()}
        spec = self._documents.spec
        measured = [value for value in (values[at] for values in self._tasks.values()) if value is not None]
        return {
            "lambda_pooled": point.weights.pooled,
            "lambda_late": point.weights.late,
            "mask": point.view.mask or spec.mask_of("document"),
            "mask_query": point.view.mask_query or spec.mask_of("query"),
            "codec": point.view.codec or self._documents.codec,
            "mean": _rounded(float(np.mean(measured)) if len(measured) == len(tasks) and measured else None),
            "tasks": tasks,
        }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _best(points: list[dict[str, Any]]) -> int | None:
    """The first of the points with the highest mean."""
    scored = [at for at, point in enumerate(points) if point["mean"] is not None]
    return max(scored, key=lambda at: points[at]["mean"], default=None)
