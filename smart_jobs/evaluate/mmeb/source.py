"""A task's record with what was found of it: what a parser reads from."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from smart_jobs.evaluate import tables
from smart_jobs.evaluate.mmeb.annotations import Annotations
from smart_jobs.evaluate.mmeb.definition import Record
from smart_jobs.evaluate.mmeb.media import Media
from smart_jobs.evaluate.tables import Row


@dataclass(frozen=True, slots=True)
class Source:
    """One task's data."""

    record: Record
    annotations: Annotations
    media: Media

    def rows(self, columns: Sequence[str]) -> Iterator[Row]:
        """The rows in the file's order, as many as count. Raises UsageError as `tables.rows` does."""
        [files] = self.annotations.parts.values()
        return itertools.islice(tables.rows(files, columns), self.record.limit)

    def part(self, config: str, columns: Sequence[str]) -> Iterator[Row]:
        """The rows of one of several parts."""
        return tables.rows(self.annotations.parts[config], columns)
