"""An evaluation's tasks, one after another -> its report and leaderboard files beside the lake's tables."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from smart_jobs import storage
from smart_jobs.evaluate import completeness, leaderboard, opening, page, reporting, sweeps
from smart_jobs.evaluate.report import MeanPart, Report, TaskPart
from smart_jobs.evaluate.reporting import Measured
from smart_jobs.evaluate.scoring import Result
from smart_jobs.evaluate.sweeps import Point
from smart_jobs.evaluate.tasks import Item, Suite
from smart_jobs.flow.evaluation_rows import Run
from smart_jobs.flow.task_scoring import Scored
from smart_jobs.flow.thumbnails import Thumbnails
from smart_jobs.keys import Decode
from smart_jobs.search.hybrid import Weights

CURVE = tuple(float(weight) for weight in np.arange(0, 2.01, 0.25))
"""Weights of the late score, beside 1 for pooled, whose means are drawn."""


class Reporter:
    """Takes scored tasks and gives up their scores: what is held of each are figures and a few small pictures."""

    def __init__(self, suite: Suite, run: Run) -> None:
        """Nothing is written before the end."""
        self._run, self._suite = run, suite
        self._promised = {expected.task: expected for expected in opening.promised(suite)}
        self._thumbnails = Thumbnails(Decode())
        self._measured: list[Measured] = []
        self._parts: list[TaskPart] = []
        self._curves: dict[str, list[float | None]] = {}
        self._entries: dict[str, dict[str, dict[str, float]]] = {}

    def add(self, found: Scored, results: Sequence[Result]) -> None:
        """Take in one task."""
        task, failures = found.task, found.failures
        own = reporting.measured(task, results, len(found.pool.names), failures.queries + failures.candidates)
        lines = [f"{each.side} {each.name}: {each.reason}: {each.detail}" for each in failures.first]
        expected = self._promised.get(task.name)
        self._measured.append(own)
        self._parts.append(reporting.task_part(task, own, results, expected, lines, self._picture))
        self._curves[task.name] = self._curve(found)
        for result in results if task.measures == "mmeb" else ():
            scores = leaderboard.scores(result.mean(), len(task.queries))
            self._entries.setdefault(result.scoring, {})[task.name] = scores

    def finish(self, encoded: int, failures: int, seconds: float) -> dict[str, Any]:
        """Write into `<lake>/reports/<run id>` and say where. A crash between leaves some of the files."""
        run = self._run
        folder = storage.join(run.lake.uri, "reports", run.run_id)
        means = reporting.means(self._measured, list(self._promised.values()))
        made = Report(run.suite, run.run_id, run.spec.full_name, self._facts(encoded, failures, seconds), means,
                      self._parts, self._means_of_curves(means))  # fmt: skip
        where = storage.join(folder, "index.html")
        storage.write_bytes(where, page.page(made).encode())
        entries = {scoring: self._entry(folder, scoring) for scoring in self._entries}
        return {"report": where, **({"leaderboard": entries} if entries else {}), "means": _json(means)}

    def _facts(self, encoded: int, failures: int, seconds: float) -> list[tuple[str, str]]:
        run = self._run
        mask = run.view.mask or run.spec.mask_of("document")
        mask_query = run.view.mask_query or run.spec.mask_of("query")
        pins = (f"{part} {name} {pin['version']}" for part, pair in run.versions.items() for name, pin in pair.items())
        return [
            ("model", f"{run.spec.model} {run.spec.revision}"),
            ("score", f"{run.weights.pooled:g} x pooled + {run.weights.late:g} x late"),
            ("states", f"{run.view.codec or run.codec}, mask {mask}, of queries {mask_query}"),
            ("cost", f"{encoded:,} segments encoded, {failures:,} failures, {seconds:,.0f} s"),
            ("versions", ", ".join(pins)),
        ]

    def _entry(self, folder: str, scoring: str) -> str:
        spec = self._run.spec
        model = leaderboard.Model(f"{spec.name}-{scoring}", spec.model, dimension=spec.dim, max_tokens=spec.max_length)
        where = storage.join(folder, f"{model.name}.json")
        entry = leaderboard.entry(model, self._entries[scoring], datetime.now(UTC))
        storage.write_bytes(where, leaderboard.as_text(entry).encode())
        return where

    def _picture(self, item: Item) -> bytes | None:
        return self._thumbnails.of(item.files)

    def _curve(self, found: Scored) -> list[float | None]:
        if self._run.spec.pooled_kind != "model":
            return []
        points = [Point(Weights(1.0, weight), self._run.view) for weight in CURVE]
        return sweeps.primaries(found.task, found.pool, found.found, [self._run.view], points)

    def _means_of_curves(self, means: Sequence[MeanPart]) -> dict[str, list[tuple[float, float]]]:
        """A line for the whole, and one for each modality where there are several."""
        modalities = {part.modality for part in self._parts}
        curves = {}
        for mean in means:
            tasks = [task.name for task in self._measured if mean.name in (*task.groups, completeness.ALL)]
            rows = [row for task in tasks if (row := self._curves[task]) and None not in row]
            if rows and (mean.name == completeness.ALL or (mean.name in modalities and len(modalities) > 1)):
                curves[mean.name] = list(zip(CURVE, np.mean(np.array(rows, float), axis=0).tolist(), strict=True))
        return curves


def _json(means: Sequence[MeanPart]) -> dict[str, Any]:
    """Means by name: points, of how many tasks, and the score of each scoring with its interval."""
    return {
        mean.name: {
            "tasks": mean.there,
            "of": mean.of,
            **{
                name: None
                if score is None
                else [round(v, 6) for v in (score.value, score.low, score.high) if v is not None]
                for name, score in mean.scores.items()
            },
        }
        for mean in means
    }
