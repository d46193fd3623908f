"""Where a task differs from what is stated of it: candidates of a query, instructions."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from smart_jobs.evaluate.mmeb.definition import Record
from smart_jobs.evaluate.mmeb.vlm2vec import IMAGE
from smart_jobs.evaluate.tasks import Item, Task


def of(record: Record, task: Task) -> Sequence[str]:
    """A line for each difference."""
    return [*_own(record, task), *_said("query", record, (query.item for query in task.queries)),
            *_said("target", record, task.candidates.values())]  # fmt: skip


def _own(record: Record, task: Task) -> Iterator[str]:
    """How many candidates queries have of their own."""
    counts = {len(query.candidates) for query in task.queries if query.candidates is not None}
    if record.per_query and counts and not record.per_query[0] <= min(counts) <= max(counts) <= record.per_query[1]:
        yield f"queries have {_range(min(counts), max(counts))} candidates each, expected {_range(*record.per_query)}"


def _range(least: int, most: int) -> str:
    return str(least) if least == most else f"{least} to {most}"


def _said(side: Literal["query", "target"], record: Record, items: Iterable[Item]) -> Iterator[str]:
    """The instructions that the data brings, which are stated for image tasks alone."""
    stated = record.stated.get(side)
    if stated is None:
        return
    found = dict.fromkeys(item.instruction.replace(IMAGE, "").strip() for item in items if item.instruction)
    other = [said for said in found if not said.startswith(stated)]
    if other:
        yield f"instruction of a {side}: found {other[0]!r}, expected {stated!r}"
