"""BEIR folders: corpus.jsonl, queries.jsonl and qrels/<split>.tsv, behind any URI."""

import io
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from smart_jobs import storage
from smart_jobs.evaluate.tasks import Item, Name, Query
from smart_jobs.evaluate.tasks import Task as SuiteTask
from smart_jobs.records import UsageError


@dataclass(frozen=True, slots=True)
class Task:
    """A retrieval task: `queries` by id in the file's order, `qrels` as query id -> candidate id -> grade.

    Both have the same keys, so a query may be judged with nothing but zeros; at least one grade is positive.
    `corpus_uri` is None where the folder brings no candidates (they are in the lake).
    """

    name: str
    queries: dict[str, str]
    qrels: dict[str, dict[str, float]]
    corpus_uri: str | None


@dataclass(frozen=True, slots=True)
class Row:
    """One candidate; `meta` holds every further column as a string, JSON where it was none (`path`, say)."""

    id: str
    title: str
    text: str
    meta: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Beir:
    """A BEIR folder as a suite of one task, called as the folder. `lake`: its candidates are a lake's pages."""

    root: str
    split: str = "test"
    lake: bool = False
    wanted: tuple[str, ...] = ()
    name: str = "beir"

    def tasks(self) -> Sequence[str]:
        """The one. Raises UsageError where another is asked for."""
        own = self.root.rpartition("/")[2]
        if any(name != own for name in self.wanted):
            raise UsageError(f"suite.tasks: {self.root} has one task, {own}")
        return (own,)

    def load(self, task: str) -> SuiteTask:
        """Raises UsageError as `load` and `corpus` do."""
        given = load(self.root, self.split)
        queries = [
            Query(name, Item(text), {candidate: grade for candidate, grade in given.qrels[name].items() if grade > 0})
            for name, text in given.queries.items()
        ]
        rows = () if self.lake else corpus(self.root)
        candidates: dict[Name, Item] = {row.id: Item(row.text, row.title) for row in rows}
        return SuiteTask(task, queries, candidates)


def load(folder_uri: str, split: str = "test") -> Task:
    """The queries and judgements of one split; queries without a judgement in it are left out.

    Raises UsageError, in one line, where the folder, its queries or the split are missing (naming the splits there
    are), where a line is malformed (naming it), or where a judged query has no text.
    """
    folder_uri = storage.absolute(folder_uri)
    if not storage.is_folder(folder_uri):
        raise UsageError(f"no folder {folder_uri}: a BEIR folder holds queries.jsonl and qrels/<split>.tsv")
    qrels_uri = storage.join(folder_uri, "qrels", f"{split}.tsv")
    if not storage.exists(qrels_uri):
        raise UsageError(
            f"{folder_uri} has no split {split!r} (qrels/{split}.tsv); splits there: {_splits(folder_uri)}"
        )
    qrels = _qrels(qrels_uri)
    queries = {name: text for name, text in _queries(folder_uri).items() if name in qrels}
    missing = sorted(qrels.keys() - queries.keys())
    if missing:
        raise UsageError(
            f"{qrels_uri}: {len(missing)} judged queries are not in queries.jsonl, the first is {missing[0]!r}"
        )
    corpus_uri = storage.join(folder_uri, "corpus.jsonl")
    name = folder_uri.rsplit("/", 1)[-1]
    return Task(name, queries, qrels, corpus_uri if storage.exists(corpus_uri) else None)


def corpus(folder_uri: str) -> Iterator[Row]:
    """The candidates of corpus.jsonl in the file's order, read as they are taken.

    Raises UsageError where the file is missing or a line is malformed (naming file, line, what was expected and found).
    """
    uri = _required(folder_uri, "corpus.jsonl")
    for where, record in _records(uri):
        name, text = _id(record, where), _string(record, "text", where)
        title = "" if record.get("title") is None else _string(record, "title", where)
        further = {key: value for key, value in record.items() if key not in ("_id", "title", "text")}
        yield Row(name, title, text, {key: _plain(value) for key, value in further.items() if value is not None})


def _splits(folder_uri: str) -> str:
    names = [
        uri.rsplit("/", 1)[-1] for uri, _ in storage.list_files(storage.join(folder_uri, "qrels"), recursive=False)
    ]
    return ", ".join(name.removesuffix(".tsv") for name in names if name.endswith(".tsv")) or "none"


def _required(folder_uri: str, name: str) -> str:
    uri = storage.join(storage.absolute(folder_uri), name)
    if not storage.exists(uri):
        raise UsageError(f"{folder_uri} holds no {name}, which a BEIR folder needs")
    return uri


def _queries(folder_uri: str) -> dict[str, str]:
    queries: dict[str, str] = {}
    for where, record in _records(_required(folder_uri, "queries.jsonl")):
        name = _id(record, where)
        if name in queries:
            raise UsageError(f"{where}: expected distinct query ids, found {name!r} again")
        queries[name] = _string(record, "text", where)
    return queries


def _qrels(uri: str) -> dict[str, dict[str, float]]:
    """Query id -> candidate id -> grade; a first line whose third field is no number is the header."""
    qrels: dict[str, dict[str, float]] = {}
    for number, (where, line) in enumerate(_lines(uri)):
        fields = line.split("\t")
        if len(fields) != 3:
            raise UsageError(f"{where}: expected query-id, corpus-id, score separated by tabs, found {line[:80]!r}")
        query, candidate, grade = fields[0], fields[1], _grade(fields[2])
        if grade is None and number == 0:
            continue
        if grade is None:
            raise UsageError(f"{where}: expected a number as score, found {fields[2]!r}")
        if qrels.setdefault(query, {}).setdefault(candidate, grade) != grade:
            raise UsageError(f"{where}: expected one score per pair, found a second one for {query!r}, {candidate!r}")
    if not any(grade > 0 for grades in qrels.values() for grade in grades.values()):
        raise UsageError(f"{uri}: no candidate is judged relevant (score above 0): there is nothing to measure")
    return qrels


def _grade(text: str) -> float | None:
    try:
        grade = float(text)
    except ValueError:
        return None
    return grade if math.isfinite(grade) else None


def _lines(uri: str) -> Iterator[tuple[str, str]]:
    """Each line that is not blank, with `<uri> line <number>` in front."""
    with storage.open_input(uri) as handle:
        buffered = io.BufferedReader(cast("io.RawIOBase", handle))  # pyarrow's files cannot split lines
        for number, data in enumerate(buffered, start=1):
            where = f"{uri} line {number}"
            try:
                line = data.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
            except UnicodeDecodeError as error:
                raise UsageError(
                    f"{where}: expected UTF-8, found {error.object[error.start : error.start + 4]!r}"
                ) from error
            if line.strip():
                yield where, line


def _records(uri: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for where, line in _lines(uri):
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise UsageError(f"{where}: expected a JSON object, found {line[:80]!r} ({error.msg})") from error
        if not isinstance(record, dict):
            raise UsageError(f"{where}: expected a JSON object, found {line[:80]!r}")
        yield where, record


def _id(record: dict[str, Any], where: str) -> str:
    """`_id` as a string; whole numbers are taken as written, since qrels hold them as text anyway."""
    value = record.get("_id")
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        raise UsageError(f"{where}: expected a string as `_id`, found {_found(record, '_id')}")
    return str(value)


def _string(record: dict[str, Any], key: str, where: str) -> str:
    value = record.get(key)
    if not isinstance(value, str):
        raise UsageError(f"{where}: expected a string as `{key}`, found {_found(record, key)}")
    return value


def _found(record: dict[str, Any], key: str) -> str:
    return (
        json.dumps(record[key], ensure_ascii=False)[:80] if key in record else f"only {', '.join(record) or 'nothing'}"
    )


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
