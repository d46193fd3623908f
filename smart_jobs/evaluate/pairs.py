"""Two documents for each query, one of them right: tables with query, documents (two texts) and right (0 or 1)."""

from collections.abc import Sequence
from dataclasses import dataclass

from smart_jobs import storage
from smart_jobs.evaluate import tables
from smart_jobs.evaluate.tables import Row
from smart_jobs.evaluate.tasks import Item, Name, Query, Task
from smart_jobs.records import UsageError

SUFFIXES = (".jsonl", ".parquet")


@dataclass(frozen=True)
class Pairs:
    """A JSONL or Parquet file, or a folder of such; each is a task that is called as its file."""

    root: str
    wanted: tuple[str, ...] = ()
    name: str = "pairs"

    def tasks(self) -> Sequence[str]:
        """By name. Raises UsageError where there is none, and for one asked for that is not there."""
        found = self._files()
        if not found:
            raise UsageError(f"{self.root}: expected a JSONL or Parquet file, or a folder of such")
        if unknown := [name for name in self.wanted if name not in found]:
            raise UsageError(f"suite.tasks: {unknown[0]} is no task; there are {', '.join(found)}")
        return [name for name in found if not self.wanted or name in self.wanted]

    def load(self, task: str) -> Task:
        """One file. Each query ranks its own two documents, which are called by their texts."""
        candidates: dict[Name, Item] = {}
        queries = []
        for row in tables.rows([self._files()[task]], ("query", "documents", "right")):
            texts, right = row.texts("documents"), row.whole("right")
            if len(texts) != 2 or texts[0] == texts[1]:
                raise row.wrong("documents", "two different texts")
            if right not in (0, 1):
                raise row.wrong("right", "0 or 1")
            candidates |= {text: Item(text) for text in texts}
            queries.append(_query(row, texts, right))
        if not queries:
            raise UsageError(f"{self._files()[task]}: no rows: there is nothing to measure")
        return Task(task, queries, candidates, "mmeb", "hit@1", graded=False)

    def _files(self) -> dict[str, str]:
        """Files by name, without suffix."""
        listed = (
            [uri for uri, _ in storage.list_files(self.root, recursive=False)] if storage.is_folder(self.root) else []
        )
        files = [uri for uri in (listed or [self.root]) if uri.endswith(SUFFIXES) and storage.exists(uri)]
        return {uri.rpartition("/")[2].rpartition(".")[0]: uri for uri in files}


def _query(row: Row, texts: Sequence[str], right: int) -> Query:
    return Query(str(row.place), Item(row.text("query")), {texts[right]: 1.0}, tuple(texts))
