"""What there is of a suite before anything is encoded: its counts, what of its media is missing, what it would cost."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from smart_jobs.evaluate.mmeb.suite import MMEB
from smart_jobs.evaluate.tasks import Item, Query, Suite, Task
from smart_jobs.records import Side, UsageError

FIRST = 3
"""Missing files that are named."""

Kind = Literal["text", "image", "video"]


@dataclass(frozen=True, slots=True)
class Count:
    """How many there are, and how many the suite's authors state; None where they state nothing."""

    found: int
    expected: int | None = None

    @property
    def right(self) -> bool:
        """Whether that is as many as stated."""
        return self.expected in (None, self.found)


@dataclass(frozen=True, slots=True)
class TaskCheck:
    """What there is of a task. `problem` says why it cannot be read at all; then the rest says nothing.

    `annotations` is where they lie, and in which form; `missing` how many files of its media are not there, of which
    `first` are some, beneath the suite's folder. `remarks` are further differences from what is stated, a line each.
    """

    task: str
    category: str = ""
    modality: str = ""
    problem: str | None = None
    annotations: str = ""
    queries: Count = Count(0)
    candidates: Count = Count(0)
    missing: int = 0
    first: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether it can be read and has as many queries and candidates as stated."""
        return self.problem is None and self.queries.right and self.candidates.right


@dataclass(frozen=True, slots=True)
class Cost:
    """What would be encoded, each content once for all tasks: segments by kind, frames of videos, bytes of media.

    An estimate: equal files under several names are told apart only when they are read.
    """

    segments: Mapping[Kind, int]
    frames: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Check:
    """A suite's tasks in its order, and what they would cost together."""

    suite: str
    root: str
    tasks: tuple[TaskCheck, ...]
    cost: Cost

    def as_json(self) -> dict[str, Any]:
        """Plain values; each task says whether it is `complete`, and the whole how many are."""
        tasks = {task.task: {**asdict(task), "complete": task.complete} for task in self.tasks}
        for content in tasks.values():
            content |= {"first": list(content["first"]), "remarks": list(content["remarks"])}
            del content["task"]
        complete = sum(task.complete for task in self.tasks)
        return {"suite": self.suite, "root": self.root, "complete": complete, "of": len(self.tasks),
                "cost": asdict(self.cost), "tasks": tasks}  # fmt: skip


def check(suite: Suite) -> Check:
    """Read every task's annotations and list its media; no medium is opened, and no task stops the others."""
    tally = _Tally(suite.root)
    return Check(suite.name, suite.root, tuple(_task(suite, name, tally) for name in suite.tasks()), tally.cost())


def _task(suite: Suite, name: str, tally: "_Tally") -> TaskCheck:
    try:
        task = suite.load(name)
    except UsageError as error:
        known = suite.records[name] if isinstance(suite, MMEB) else None
        return TaskCheck(name, known.category if known else "", known.modality if known else "", str(error))
    missing = {file.uri: None for _, item in _items(task) for file in item.files if not file.stamp}
    tally.add(task)
    return TaskCheck(
        name, task.category, task.modality,
        annotations=suite.annotations(name) if isinstance(suite, MMEB) else "",
        queries=Count(len(task.queries), task.expected.get("queries")),
        candidates=Count(len(task.candidates), task.expected.get("candidates")),
        missing=len(missing),
        first=tuple(uri.removeprefix(suite.root).lstrip("/") for uri in list(missing)[:FIRST]),
        remarks=(*_unfindable(task), *(suite.remarks(task) if isinstance(suite, MMEB) else ())),
    )  # fmt: skip


def _items(task: Task) -> Iterator[tuple[Side, Item]]:
    yield from (("query", query.item) for query in task.queries)
    yield from (("document", item) for item in task.candidates.values())


def _unfindable(task: Task) -> Sequence[str]:
    """Queries whose right answers are all no candidates; not asked where the candidates are a lake's pages."""
    lost = sum(not _findable(query, task) for query in task.queries) if task.candidates else 0
    return (f"{lost} of {len(task.queries)} queries have nothing to find among their candidates",) if lost else ()


def _findable(query: Query, task: Task) -> bool:
    return any(name in (task.candidates if query.candidates is None else query.candidates) for name in query.relevant)


@dataclass(slots=True)
class _Tally:
    """Segments as they come, each once."""

    root: str
    seen: set[str] = field(default_factory=set)
    segments: Counter[Kind] = field(default_factory=Counter)
    frames: int = 0
    bytes: int = 0

    def add(self, task: Task) -> None:
        """Count what no earlier task had."""
        for side, item in _items(task):
            uri = item.asset(side, self.root).uri
            if uri not in self.seen:
                self.seen.add(uri)
                self.segments[_kind(item)] += 1
                self.frames += sum(file.media == "frame" for file in item.files)
                self.bytes += item.size

    def cost(self) -> Cost:
        """What has been counted."""
        return Cost({kind: self.segments[kind] for kind in ("text", "image", "video")}, self.frames, self.bytes)


def _kind(item: Item) -> Kind:
    media = {file.media for file in item.files}
    return "video" if media & {"frame", "video"} else "image" if media else "text"
