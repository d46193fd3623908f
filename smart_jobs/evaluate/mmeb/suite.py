"""MMEB-V2 as a suite: a record, its annotations and its media -> a task."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from smart_jobs import storage
from smart_jobs.evaluate.completeness import Expected
from smart_jobs.evaluate.mmeb import annotations, choices, definition, remarks
from smart_jobs.evaluate.mmeb.definition import Record
from smart_jobs.evaluate.mmeb.dialect import Dialect
from smart_jobs.evaluate.mmeb.media import Media
from smart_jobs.evaluate.mmeb.parsers import PARSERS
from smart_jobs.evaluate.mmeb.qwen import Qwen
from smart_jobs.evaluate.mmeb.rows import Choice, Pair, Said
from smart_jobs.evaluate.mmeb.source import Source
from smart_jobs.evaluate.mmeb.vlm2vec import VLM2Vec
from smart_jobs.evaluate.tasks import Item, Name, Query, Task
from smart_jobs.keys import Family, Profile
from smart_jobs.keys import Suite as Keys
from smart_jobs.records import UsageError

DIALECTS: Mapping[Profile, Dialect] = {"qwen": Qwen(), "vlm2vec": VLM2Vec()}


@dataclass(frozen=True)
class MMEB:
    """The benchmark in a folder, as one profile words it: the `whole` of it, and the `records` that are asked for."""

    root: str
    profile: Profile
    whole: Mapping[str, Record]
    records: Mapping[str, Record]
    name: str = definition.NAME

    def tasks(self) -> Sequence[str]:
        """In the order of the leaderboard's files: images, videos, visual documents."""
        return tuple(self.records)

    def promised(self) -> Sequence[Expected]:
        """All tasks of the benchmark, whichever are asked for, as its authors state them."""
        return [_promised(record) for record in self.whole.values()]

    def source(self, task: str) -> Source:
        """What there is of a task. Raises UsageError where its annotations are not there."""
        record = self.records[task]
        found = annotations.find(self.root, record)
        return Source(record, found, Media(self.root, record.media, apart=record.modality == "image"))

    def annotations(self, task: str) -> str:
        """Where a task's annotations lie, in which form and of which commit. Raises UsageError where they do not."""
        found = annotations.find(self.root, self.records[task])
        commit = f", revision {found.revision}" if found.revision else ""
        return f"{found.where} ({found.form}{commit})"

    def remarks(self, task: Task) -> Sequence[str]:
        """Where a task differs from what its record states of it, beside its counts."""
        return remarks.of(self.records[task.name], task)

    def load(self, task: str) -> Task:
        """One task, read now. What is missing of its media is no error: such an item becomes a failure."""
        return loaded(self.source(task), DIALECTS[self.profile])


def opened(keys: Keys, family: Family) -> MMEB:
    """The tasks that the keys ask for, in their own order, for an encoder of this family.

    Raises UsageError for a name that no task, category or modality has, and for a definition that cannot be read.
    """
    records = definition.read(keys.definition)
    for name in keys.tasks:
        if not any(record.named((name,)) for record in records.values()):
            raise UsageError(f"suite.tasks: {name} is no task, category or modality{_nearest(name, records)}")
    wanted = {key: record for key, record in records.items() if not keys.tasks or record.named(keys.tasks)}
    profile: Profile = keys.profile or ("vlm2vec" if family == "vlm2vec" else "qwen")
    return MMEB(storage.absolute(keys.path), profile, records, wanted)


def _nearest(name: str, records: Mapping[str, Record]) -> str:
    categories = dict.fromkeys(name for record in records.values() for name in (record.modality, record.category))
    near = difflib.get_close_matches(name, [*records, *categories], n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else f"; categories are {', '.join(categories)}"


def loaded(source: Source, dialect: Dialect) -> Task:
    """The task in this dialect's words. Of candidates of one name the first counts: rows in order, then the corpus."""
    record, pool = source.record, _Pool(source, dialect)
    parsed = PARSERS[record.parser](source)
    queries = []
    for number, row in enumerate(parsed.rows):
        pair = choices.pair(record.parser, row, dialect.options) if isinstance(row, Choice) else row
        queries.append(pool.query(str(number), pair))
    pool.offer(parsed.corpus, captioned=False)
    return Task(record.key, queries, pool.items, "mmeb", record.primary, record.graded, record.category,
                record.modality, _stated(record, len(pool.items)),
                {name: score / 100 for name, score in record.scores.items()})  # fmt: skip


def _promised(record: Record) -> Expected:
    pool = (min(record.pool), max(record.pool)) if record.pool else None
    own = record.per_query if record.ranking == "local" else pool
    return Expected(record.key, (record.category, record.modality), record.queries, own)


def _stated(record: Record, found: int) -> Mapping[Literal["queries", "candidates"], int]:
    """How many there should be; of several sizes of a pool the one that is there, else the first."""
    if not record.pool:
        return {"queries": record.queries}
    return {"queries": record.queries, "candidates": found if found in record.pool else record.pool[0]}


@dataclass(frozen=True)
class _Pool:
    """A task's candidates as they are met."""

    source: Source
    dialect: Dialect
    items: dict[Name, Item] = field(default_factory=dict)
    names: dict[Name, Name] = field(default_factory=dict)
    """Each name once: a thousand rows may have the same thousand."""

    def query(self, number: str, pair: Pair) -> Query:
        """A query and, where it ranks its own, its candidates."""
        record, asked = self.source.record, pair.query
        captioned = any(said.text.strip() for _, said in pair.candidates[:1])
        self.offer(pair.candidates, captioned=captioned)
        worded = self.dialect.query(record, asked)
        own = tuple(self.names[name] for name, _ in pair.candidates) if record.ranking == "local" else None
        return Query(number, self._item(worded.text, worded.instruction, asked), pair.relevant, own)

    def offer(self, candidates: Iterable[tuple[Name, Said]], *, captioned: bool) -> None:
        """Take in those whose names are new."""
        for name, said in candidates:
            if name not in self.items:
                worded = self.dialect.candidate(self.source.record, said, captioned=captioned)
                self.names[name] = name
                self.items[name] = self._item(worded.text, worded.instruction, said)

    def _item(self, text: str, instruction: str, said: Said) -> Item:
        if said.shown is None:
            return Item(text, instruction=instruction)
        media, record = self.source.media, self.source.record
        if said.shown.kind == "image":
            files, size = media.image(said.shown.path, said.shown.kept)
        else:
            counts = record.clip_frames if said.shown.clip and record.clip_frames else record.frames
            files, size = media.frames(said.shown.path, counts[self.dialect.name] if counts else None)
        return Item(text, instruction=instruction, files=files, size=size)
