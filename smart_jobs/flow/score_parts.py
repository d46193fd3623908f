"""The parts of an evaluation's scoring: here while there is little to do, on Ray from then on.

A task is cut into parts that read the lake themselves and send back nothing but scores; this process puts them where
they belong. A part whose worker dies is done again elsewhere.
"""

import contextlib
import itertools
import sys
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType

import numpy as np

from smart_jobs.evaluate import cuts, parts
from smart_jobs.evaluate.cuts import Cut, Pairs, Sizes
from smart_jobs.evaluate.parts import Scores
from smart_jobs.evaluate.scoring import Matrices
from smart_jobs.evaluate.views import View
from smart_jobs.keys import Cluster
from smart_jobs.lake.inventory import Located
from smart_jobs.lake.layout import Lake
from smart_jobs.records import JobError

LITTLE = 4 << 40
"""Multiplications of an evaluation's late scores up to which starting Ray takes longer than all of them."""

MEMORY = 3 << 30
"""What a part takes: what `cuts.Sizes` allows of either side, in the forms that `parts.score` names."""

WINDOW = 2
"""Parts that wait or are done for each CPU: no more of their scores lie in the object store."""


class Scorer:
    """Scores tasks one after the other. A context manager: a Ray that it had to start ends with it."""

    def __init__(self, where: Cluster, lakes: Sequence[Lake], sizes: Sizes = cuts.SIZES) -> None:
        """`lakes` are those that every node must see."""
        self._where, self._lakes, self._sizes, self._done = where, lakes, sizes, 0.0
        self._open = contextlib.ExitStack()
        self._connected = False

    def __enter__(self) -> "Scorer":
        """Nothing is started yet."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End what was started."""
        self._open.close()

    def score(self, queries: Located, documents: Located, pairs: Pairs, views: Sequence[View]) -> Matrices:
        """The scores of all pairs of a task, under each view. Raises the JobError of a part, or that its workers die.

        Here the scores are held, 4 bytes a pair for the pooled and for each late one, and a part of them once more.
        """
        count = int(pairs.offsets[-1])
        pooled, late = np.empty(count, np.float32), np.empty((len(views), count), np.float32)
        self._done += cuts.work(queries, documents, pairs) * len(views)
        for cut, scores in self._scored(cuts.cut(queries, documents, pairs, views, self._sizes)):
            pooled[cut.places], late[:, cut.places] = scores.pooled, scores.late
        return Matrices(pooled, late)

    def _scored(self, cutting: Iterator[Cut]) -> Iterator[tuple[Cut, Scores]]:
        first = list(itertools.islice(cutting, 2))
        whole = itertools.chain(first, cutting)
        if len(first) < 2 or not (self._connected or self._done > LITTLE or _running()):
            return ((cut, parts.score(cut.part)) for cut in whole)
        self._connect()
        return _spread(whole)

    def _connect(self) -> None:
        if self._connected:
            return
        from smart_jobs.flow import cluster  # late: a small evaluation starts no Ray

        self._open.enter_context(cluster.connected(self._where))
        for lake in self._lakes:
            cluster.check_lake(lake.uri, lake.id)
        self._connected = True


def _running() -> bool:
    """Whether this process has a Ray already."""
    return "ray" in sys.modules and bool(sys.modules["ray"].is_initialized())


def _spread(cutting: Iterable[Cut]) -> Iterator[tuple[Cut, Scores]]:
    """Raises the JobError or OSError of a part, and JobError where its workers die again and again."""
    import ray
    from ray.exceptions import RayError

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    largest = max(node.get("memory", 0.0) for node in nodes)
    gpus, cpus = (sum(node.get(kind, 0.0) for node in nodes) for kind in ("GPU", "CPU"))
    options = {"num_cpus": 1, "num_gpus": 1 if gpus else 0, "memory": int(min(MEMORY, largest))}
    score = ray.remote(parts.score).options(**options)
    waiting: dict[object, Cut] = {}
    remaining = iter(cutting)
    while True:
        for cut in itertools.islice(remaining, max(1, int(WINDOW * cpus)) - len(waiting)):
            waiting[score.remote(cut.part)] = cut
        if not waiting:
            return
        done, _ = ray.wait(list(waiting), num_returns=1)
        try:
            scores = ray.get(done[0])
        except RayError as error:
            cause = getattr(error, "cause", None)
            if isinstance(cause, JobError | OSError):
                raise cause from error
            raise JobError(f"evaluate: a part failed on the cluster: {str(error).strip().splitlines()[0]}") from error
        yield waiting.pop(done[0]), scores
        del scores
