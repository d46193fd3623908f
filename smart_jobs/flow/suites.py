"""Which benchmark a config names."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from smart_jobs import storage
from smart_jobs.evaluate import beir
from smart_jobs.evaluate.tasks import Item, Query, Suite, Task
from smart_jobs.keys import Family
from smart_jobs.keys import Suite as Keys


def opened(keys: Keys, family: Family) -> Suite:  # noqa: ARG001 (suites that word instructions by it)
    """The benchmark that the keys name, worded as an encoder of this family wants it. Raises UsageError."""
    return Beir(keys)


@runtime_checkable
class Checked(Protocol):
    """A suite that can say what there is of it and what is missing."""

    def check(self) -> dict[str, Any]:
        """What `--dry-run` prints."""
        ...


class Beir:
    """A folder in BEIR's layout: one task."""

    name = "beir"

    def __init__(self, keys: Keys) -> None:
        """Nothing is read yet."""
        self.root, self._keys = storage.absolute(keys.path), keys

    def tasks(self) -> Sequence[str]:
        """The folder's name."""
        return (self.root.rpartition("/")[2],)

    def load(self, task: str) -> Task:
        """Its queries that are judged, and its corpus unless the candidates are a lake's pages."""
        found = beir.load(self.root, self._keys.split)
        rows = () if self._keys.candidates == "lake" else beir.corpus(self.root)
        queries = [
            Query(name, Item(text), {other: grade for other, grade in found.qrels[name].items() if grade > 0})
            for name, text in found.queries.items()
        ]
        return Task(task, queries, {row.id: Item(row.text, row.title) for row in rows})
