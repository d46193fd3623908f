"""A build that can be killed at any step: trained once, filled in parts, merged; each result is a named file.

The folder of a build is named after all that shapes it, so that the next run with the same goes on, with whatever files
are there. `train` and `part` need nothing but a `Task`, which can be sent to other machines.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import faiss
import numpy as np

from smart_jobs import storage
from smart_jobs.index import build, training
from smart_jobs.index.manifest import Pin
from smart_jobs.lake import matrices, table
from smart_jobs.records import text_digest

GROUP_BYTES = 1 << 30
"""Vectors (float32) that a part is made of, and that are in memory at a time; a larger file of pooled is a part."""


BUILDING = "building-"
"""How the folders of builds begin."""


@dataclass(frozen=True, slots=True)
class Task:
    """The index of `factory` over the version `pin` of the table `pooled` (a URI), with vectors of `dim` dimensions."""

    pooled: str
    pin: Pin
    dim: int
    factory: str
    indexes: str
    group_bytes: int = GROUP_BYTES

    @property
    def folder(self) -> str:
        """Where the steps leave their files: in `indexes`, without a manifest, so that nobody takes it for an index."""
        shape = (self.pin.table_id, str(self.pin.version), self.factory, str(self.group_bytes), faiss.__version__)
        return storage.join(self.indexes, f"{BUILDING}{text_digest(*shape)[:12]}")

    def groups(self) -> list[list[str]]:
        """The files of pooled, part by part."""
        return matrices.groups(table.open_table(self.pooled, self.pin.version), self.dim, self.group_bytes)


def train(task: Task) -> None:
    """Step `trained`: the empty index, unless it is there. Raises ValueError, naming the id, for a bad vector or id."""
    uri = storage.join(task.folder, "trained.faiss")
    if storage.exists(uri):
        return
    handle, groups = table.open_table(task.pooled, task.pin.version), task.groups()
    ids = np.sort(np.concatenate([matrices.ids(handle, group) for group in groups]))
    if (twice := ids[1:] == ids[:-1]).any():
        raise ValueError(f"id {ids[twice.argmax()]} is there twice")
    chosen = training.choose(ids, build.training_rows(task.factory, len(ids), task.dim))
    storage.write_bytes(uri, build.save(training.empty(task.factory, _sample(task, chosen))))


def _sample(task: Task, chosen: np.ndarray) -> np.ndarray:
    """The vectors (n, d) of the sorted ids `chosen` (n,), in their order: how the files are grouped plays no part."""
    handle, sample = table.open_table(task.pooled, task.pin.version), np.empty((len(chosen), task.dim), np.float32)
    for group in task.groups() if len(chosen) else []:
        ids, vectors = matrices.read(handle, group, task.dim, chosen)
        build.check_vectors(ids, vectors)
        sample[np.searchsorted(chosen, ids)] = vectors
    return sample


def part(task: Task, number: int) -> None:
    """Step `part`: the trained index with the vectors of one group of files, unless it is there.

    Raises ValueError, naming the id, for a vector that is not finite or not of norm 1.
    """
    uri = _part_uri(task, number)
    if not storage.exists(uri):
        index = build.load(storage.read_bytes(storage.join(task.folder, "trained.faiss")))
        _add(index, task, task.groups()[number])
        storage.write_bytes(uri, build.save(index))


def _part_uri(task: Task, number: int) -> str:
    return storage.join(task.folder, f"part-{number:05}.faiss")


def _add(index: faiss.Index, task: Task, group: list[str]) -> None:
    ids, vectors = matrices.read(table.open_table(task.pooled, task.pin.version), group, task.dim)
    build.check_vectors(ids, vectors)
    index.add_with_ids(vectors, ids)


def merged(task: Task) -> faiss.Index:
    """The parts in their order as one index: bit for bit the one that a single process fills with all vectors.

    Kinds that cannot be merged are filled here, group by group.
    """
    index = build.load(storage.read_bytes(storage.join(task.folder, "trained.faiss")))
    for number, group in enumerate(task.groups()):
        if build.changeable(task.factory):
            index.merge_from(build.load(storage.read_bytes(_part_uri(task, number))), 0)
        else:
            _add(index, task, group)
    return index


Parts = Callable[[Task, Sequence[int]], Iterable[int]]
"""Makes these parts of a build, in any order and anywhere, and says of each when it is done."""


def in_turn(task: Task, numbers: Sequence[int]) -> Iterable[int]:
    """Make these parts here, one after the other."""
    for number in numbers:
        part(task, number)
        yield number


def run(task: Task, reached: Callable[[str], None], parts: Parts = in_turn) -> faiss.Index:
    """All steps. `reached` is told when each is done: fault tests end the process there. Raises what they raise."""
    train(task)
    reached("trained")
    if build.changeable(task.factory):
        missing = [n for n in range(len(task.groups())) if not storage.exists(_part_uri(task, n))]
        for number in parts(task, missing):
            reached(f"part {number}")
    index = merged(task)
    reached("merged")
    return index


def discard(indexes: str) -> None:
    """Delete what unfinished builds have left in the folder of all indexes; one that goes on meanwhile fails."""
    for uri, _ in storage.list_files(indexes):
        if f"/{BUILDING}" in uri.removeprefix(indexes):
            storage.delete(uri)


def clear(task: Task) -> None:
    """Delete the files of the steps; called when the index is published. A crash leaves them to `maintain`."""
    for uri, _ in storage.list_files(task.folder):
        storage.delete(uri)
