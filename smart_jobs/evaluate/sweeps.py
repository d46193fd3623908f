"""Many ways to score the same stored states: points, what each gives, and the best of them."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from smart_jobs.evaluate import measuring, scoring
from smart_jobs.evaluate.scoring import Matrices, Pool
from smart_jobs.evaluate.tasks import Task
from smart_jobs.evaluate.views import View
from smart_jobs.search.hybrid import Weights
from smart_jobs.settings import Evaluate

KEYS = ("lambda_pooled", "lambda_late", "mask", "mask_query", "codec")


@dataclass(frozen=True, slots=True)
class Point:
    """Weights of hybrid, and a view of the states."""

    weights: Weights
    view: View


def points(job: Evaluate) -> list[Point]:
    """Every combination of what is swept; what is not is as the job's own keys say.

    A mask holds for queries too where nothing else is said for them. The last of the keys changes first, weights last.
    """
    sweep, own = job.sweep, view_of(job)
    looks = itertools.product(
        sweep.mask or (own.mask,),
        sweep.mask_query or (job.mask_query,),
        sweep.codec or (own.codec,),
    )
    views = [View(mask, mask_query or mask, codec) for mask, mask_query, codec in looks]
    weights = itertools.product(sweep.lambda_pooled or (job.lambda_pooled,), sweep.lambda_late or (job.lambda_late,))
    return [Point(Weights(*pair), view) for view, pair in itertools.product(views, list(weights))]


def view_of(job: Evaluate) -> View:
    """What the job's own keys say; a mask holds for queries too where nothing else is said for them."""
    return View(job.mask, job.mask_query or job.mask, job.codec)


def varied(points: Sequence[Mapping[str, Any]]) -> list[str]:
    """The keys in which points of a sweep's JSON differ; not a query's mask that is the documents' everywhere."""
    names = [name for name in KEYS if len({point[name] for point in points}) > 1]
    follows = all(point["mask_query"] == point["mask"] for point in points)
    return [name for name in names if name != "mask_query" or not follows]


def primaries(
    task: Task, pool: Pool, found: Matrices, views: Sequence[View], points: Sequence[Point]
) -> list[float | None]:
    """The mean of the task's primary measure at each point, from the late scores of `views`; None: none is judged."""
    depth, measure = measuring.depth(task.primary), measuring.of(task, pool.names)
    means = []
    for at in points:
        scores = scoring.hybrid(found, at.weights, views.index(at.view))
        measured = measure(scoring.rankings(task, pool, scores, depth))
        means.append(float(np.mean([row[task.primary] for row in measured.values()])) if measured else None)
    return means
