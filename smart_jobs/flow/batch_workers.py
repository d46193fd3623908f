"""The parts of a batch search, on Ray: each is done by one of the workers, and by another where that one dies."""

from collections import deque
from collections.abc import Iterator
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from smart_jobs.flow import cluster
from smart_jobs.flow.batch_part import Done, Order, Worker
from smart_jobs.flow.batch_queries import Part
from smart_jobs.keys import Cluster
from smart_jobs.records import JobError

AHEAD = 2
"""Parts that a worker has at a time: one in hand, and the next."""
RESTARTS = 100
"""Deaths of one worker, over all of its parts, that end the run."""


class SearchActor:
    """A worker on some node of the cluster."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._worker: Worker | None = None

    def part(self, part: Part) -> Done:
        """Answer a part; done again by another where this one dies.

        Raises JobError where the node does not see the lake, the output, or the pinned versions.
        """
        if self._worker is None:  # not at its start, where an exception loses its kind
            cluster.check_here(self._order.run.lake_uri, self._order.run.lake_id)
            self._worker = Worker(self._order)
        return self._worker.part(part)


def spread(parts: Iterator[Part], order: Order, on: Cluster, count: int) -> Iterator[Done]:
    """The parts as they are done, in any order; some are read ahead, so many as the workers take.

    Raises the JobError or OSError of a worker, and JobError where workers keep dying.
    """
    pools = cluster.pools(on)
    make = ray.remote(SearchActor).options(
        num_cpus=pools.encode_cpus, num_gpus=pools.encode_gpus, max_restarts=RESTARTS, max_task_retries=-1
    )
    workers = [make.remote(order) for _ in range(min(pools.encode_actors, count))]
    free: deque[Any] = deque(workers * AHEAD)
    waiting: dict[Any, Any] = {}
    for part in parts:
        if not free:
            yield _next(waiting, free)
        worker = free.popleft()
        waiting[worker.part.remote(part)] = worker
    while waiting:
        yield _next(waiting, free)


def _next(waiting: dict[Any, Any], free: deque[Any]) -> Done:
    """Wait for a part, and free its worker."""
    [ready], _ = ray.wait(list(waiting), num_returns=1)
    free.append(waiting.pop(ready))
    try:
        done: Done = ray.get(ready)
    except RayTaskError as error:
        if isinstance(error.cause, JobError | OSError):
            raise error.cause from error
        raise
    except RayError as error:
        first = str(error).strip().splitlines()[0]
        raise JobError(f"search: workers keep dying: {first}; what is done stays, run it again") from error
    return done
