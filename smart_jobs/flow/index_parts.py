"""The parts of an index build, on Ray: a task each, retried elsewhere where a worker dies."""

from collections.abc import Iterator, Sequence

from smart_jobs.index import steps
from smart_jobs.index.steps import Parts, Task
from smart_jobs.keys import Cluster
from smart_jobs.lake.layout import Lake
from smart_jobs.records import JobError

MEMORY = 2.5
"""What a part takes, as a multiple of its vectors: the column as it is read, the matrix, and the codes."""


def on(where: Cluster, lake: Lake) -> Parts:
    """Makes parts on the cluster, as many at a time as its CPUs and memory allow; a single one here, without Ray."""

    def parts(task: Task, numbers: Sequence[int]) -> Iterator[int]:
        if len(numbers) < 2:
            yield from steps.in_turn(task, numbers)
            return
        from smart_jobs.flow import cluster  # late: a small build starts no Ray

        with cluster.connected(where):
            cluster.check_lake(lake.uri, lake.id)
            yield from _spread(task, numbers)

    return parts


def _spread(task: Task, numbers: Sequence[int]) -> Iterator[int]:
    """Raises the ValueError or JobError of a part, and JobError where its workers die."""
    import ray
    from ray.exceptions import RayError

    largest = max(node["Resources"].get("memory", 0.0) for node in ray.nodes() if node["Alive"])
    memory = int(min(MEMORY * task.group_bytes, largest))  # more than any node has would wait for ever
    make = ray.remote(steps.part).options(num_cpus=1, memory=memory)
    waiting = {make.remote(task, number): number for number in numbers}
    while waiting:
        done, _ = ray.wait(list(waiting), num_returns=1)
        try:
            ray.get(done)
        except RayError as error:
            cause = getattr(error, "cause", None)
            if isinstance(cause, ValueError | JobError | OSError):
                raise cause from error
            first = str(error).strip().splitlines()[0]
            raise JobError(f"index: part {waiting[done[0]]} failed on the cluster: {first}") from error
        yield waiting.pop(done[0])
