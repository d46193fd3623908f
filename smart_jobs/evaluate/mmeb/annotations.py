"""Where a task's annotations lie: every place that downloads and evaluators use, in one order."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from smart_jobs import storage
from smart_jobs.evaluate.mmeb import revisions, saved
from smart_jobs.evaluate.mmeb.definition import Record
from smart_jobs.records import UsageError

VISDOC = ("queries", "corpus", "qrels")
SUFFIXES = (".parquet", ".jsonl", ".json")
AREAS = {"image": "image-tasks", "video": "video-tasks", "visdoc": "visdoc-tasks"}

Form = Literal["repository", "download", "arrow"]


@dataclass(frozen=True, slots=True)
class Annotations:
    """A task's files by config, "" where it has but one part, each in the order of its rows.

    `form`: files of its repository on the hub, of the benchmark's own download, or saved Arrow folders. `where` is the
    folder or file, beneath the suite's; `revision` the commit, where the folder says it.
    """

    form: Form
    where: str
    parts: Mapping[str, tuple[str, ...]]
    revision: str | None = None


def find(root: str, record: Record) -> Annotations:
    """The first place that has all parts.

    In this order: files of the repository, in `<area>/<name>`, in `<area>` itself (images), in `<owner>/<name>` and in
    `<name>`; the download's `<area>/data/<name>` and, for videos, `video-tasks/data/<jsonl>`; then
    `annotation/<owner>/<name>`, where Qwen's evaluator saves them as Arrow folders. Raises UsageError where no place
    has all, saying what one lacks that has some, and where the revision there is not the one that the record wants.
    """
    partly: list[str] = []
    for form, where in _places(record):
        uri = storage.join(root, where)
        parts = _parts(uri, record) if storage.exists(uri) else {}
        lacking = [config for config in _configs(record) if config not in parts]
        if not lacking:
            return _pinned(Annotations(_form(form, parts), where, parts, revisions.of(uri)), record)
        if parts:
            partly.append(f"{where} lacks {', '.join(lacking)}")
    looked = "; ".join(partly) or f"looked for {', '.join(dict.fromkeys(where for _, where in _places(record)))}"
    raise UsageError(f"{record.key}: no annotations ({record.repo}, split {record.split}) in {root}: {looked}")


def _pinned(found: Annotations, record: Record) -> Annotations:
    if record.revision and found.revision and not found.revision.startswith(record.revision):
        raise UsageError(f"{record.key}: {found.where} is revision {found.revision}, expected {record.revision}")
    return found


def _form(form: Form, parts: Mapping[str, tuple[str, ...]]) -> Form:
    return "arrow" if any(uri.endswith(".arrow") for files in parts.values() for uri in files) else form


def _configs(record: Record) -> tuple[str, ...]:
    """The parts that a task needs; a repository may have others."""
    return VISDOC if record.modality == "visdoc" else record.config or ("",)


def _places(record: Record) -> Iterator[tuple[Form, str]]:
    area, name = AREAS[record.modality], record.repo.rpartition("/")[2]
    yield "repository", f"{area}/{name}"
    if record.modality == "image":
        yield "repository", area
    yield "repository", record.repo
    yield "repository", name
    yield "download", f"{area}/data/{name}"
    for file in record.jsonl:
        for suffix in (".jsonl", ".json", ""):
            yield "download", f"{area}/data/{file}{suffix}"
    yield "arrow", f"annotation/{record.repo}"


def _parts(uri: str, record: Record) -> dict[str, tuple[str, ...]]:
    """What a place has: a file has all parts in it, told apart by a column."""
    if uri.endswith(SUFFIXES):
        return dict.fromkeys(_configs(record), (uri,))
    found = {config: _files(uri, config, record.split) for config in _configs(record)}
    return {config: files for config, files in found.items() if files}


def _files(folder: str, config: str, split: str) -> tuple[str, ...]:
    """The files of one split of one config in a repository's folder, by name; none where they are not there."""
    own = storage.join(folder, config) if config else folder
    other = storage.join(folder, "data", config) if config else storage.join(folder, "default")
    for place in (own, storage.join(own, split), storage.join(own, "data"), other):
        if files := saved.files(place) or _split(place, split, every=place.endswith(f"/{split}")):
            return files
    named = (storage.join(folder, *between, f"{config}{suffix}") for between in ((), ("json",)) for suffix in SUFFIXES)
    return next(((uri,) for uri in named if config and storage.exists(uri)), ())


def _split(folder: str, split: str, *, every: bool) -> tuple[str, ...]:
    """The files directly in a folder that are called after the split; `every`: the folder is."""
    names = [uri for uri, _ in storage.list_files(folder, recursive=False) if uri.endswith(SUFFIXES)]
    wanted = [uri for uri in names if every or uri.rpartition("/")[2].startswith((f"{split}-", f"{split}."))]
    return next((files for suffix in SUFFIXES if (files := _of(wanted, suffix))), ())


def _of(uris: Sequence[str], suffix: str) -> tuple[str, ...]:
    return tuple(uri for uri in uris if uri.endswith(suffix))
