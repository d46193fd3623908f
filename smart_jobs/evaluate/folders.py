"""Parquet folders as ViDoRe and VisRAG lay them out: corpus/ with images or text, queries/ and qrels/."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from smart_jobs import storage
from smart_jobs.evaluate import qrels, tables
from smart_jobs.evaluate.tables import Row
from smart_jobs.evaluate.tasks import Item, Name, Query, Task
from smart_jobs.objects import Info
from smart_jobs.records import Attached, UsageError

PARTS = ("corpus", "queries", "qrels")
IMAGE = "image"


@dataclass(frozen=True)
class Folders:
    """One such folder, or a folder of several; each is a task that is called as its folder."""

    root: str
    split: str
    wanted: tuple[str, ...] = ()
    name: str = "folders"

    def tasks(self) -> Sequence[str]:
        """By name. Raises UsageError where there is none, and for one asked for that is not there."""
        found = [self.root.rpartition("/")[2]] if self._whole(self.root) else []
        found = found or [name for name in storage.folders(self.root) if self._whole(storage.join(self.root, name))]
        if not found:
            raise UsageError(f"{self.root}: no folder with {', '.join(PARTS)}, here or one further down")
        if unknown := [name for name in self.wanted if name not in found]:
            raise UsageError(f"suite.tasks: {unknown[0]} is no task; there are {', '.join(found)}")
        return [name for name in found if not self.wanted or name in self.wanted]

    def load(self, task: str) -> Task:
        """One folder. A query without a judgement is left out, as trec_eval does."""
        folder = self.root if self._whole(self.root) else storage.join(self.root, task)
        grades = qrels.grades(self._rows(folder, "qrels", qrels.COLUMNS))
        queries = [
            Query(str(row["query-id"]), Item(row.text("query")), grades[row["query-id"]])
            for row in self._rows(folder, "queries", ("query-id", "query"))
            if row["query-id"] in grades
        ]
        if not queries:
            raise UsageError(f"{folder}: no query of queries/ is judged in qrels/: there is nothing to measure")
        return Task(task, queries, dict(self._candidates(folder)))

    @staticmethod
    def _whole(folder: str) -> bool:
        return all(storage.is_folder(storage.join(folder, part)) for part in PARTS)

    def _candidates(self, folder: str) -> Iterator[tuple[Name, Item]]:
        """Pages with their images, which stay in the Parquet file until they are decoded, and their texts."""
        files = self._files(folder, "corpus")
        kept = {uri: _share(uri) for uri in files if tables.keeps_images(uri, IMAGE)}
        for row in tables.rows(files, ("corpus-id", "title", "text")):
            info = kept.get(row.file)
            seen = () if info is None else (Attached(f"{row.file}#{IMAGE}/{row.place}", "image", info.stamp),)
            yield (
                row["corpus-id"],
                Item(_said(row, "text"), _said(row, "title"), files=seen, size=info.size if info else 0),
            )

    def _rows(self, folder: str, part: str, columns: Sequence[str]) -> Iterator[Row]:
        return tables.rows(self._files(folder, part), columns)

    def _files(self, folder: str, part: str) -> list[str]:
        """The split's files; all of them where none is called after a split."""
        within = storage.join(folder, part)
        found = [uri for uri, _ in storage.list_files(within) if uri.endswith(".parquet")]
        of_split = [uri for uri in found if uri.rpartition("/")[2].startswith((f"{self.split}-", f"{self.split}."))]
        if not found:
            raise UsageError(f"{within}: expected Parquet files, found none")
        return of_split or found


def _share(uri: str) -> Info:
    """A Parquet file's stamp, and a row's share of its bytes: nothing says how many a row has without reading it."""
    info = storage.info(uri)
    return Info("file", info.size // max(1, tables.length(uri)), info.stamp)


def _said(row: Row, column: str) -> str:
    return row.text(column) if column in row.values else ""
