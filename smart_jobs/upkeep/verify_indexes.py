"""Are an encoder's indexes what their manifests say, and can what they were built from still be read."""

from collections.abc import Callable

from smart_jobs import storage
from smart_jobs.index import manifest
from smart_jobs.index.manifest import MANIFEST, Pin
from smart_jobs.records import JobError
from smart_jobs.upkeep.findings import Findings

Problem = Callable[[str, int], str | None]
"""Table id and version -> why it cannot be read, or None."""


def folders(indexes_uri: str) -> list[str]:
    """The folders of the finished indexes: those with a manifest."""
    files = storage.list_files(indexes_uri)
    return [uri.rpartition("/")[0] for uri, _ in files if uri.endswith(f"/{MANIFEST}")]


def check(indexes_uri: str, label: str, problem: Problem, findings: Findings) -> tuple[int, list[str]]:
    """How many indexes there are, and the folders of those that are damaged."""
    found = folders(indexes_uri)
    return len(found), [folder for folder in found if not _good(folder, label, problem, findings)]


def _good(folder: str, label: str, problem: Problem, findings: Findings) -> bool:
    name = folder.rpartition("/")[2]
    try:
        made = manifest.read(folder)
        manifest.read_index_bytes(folder, made)
    except JobError as error:
        findings.add("index_file", label, name, "the files of its manifest", error)
        return False
    pins = [_pin(pin, name, label, problem, findings) for pin in (made.built_from, made.hidden_states)]
    return all(pins)


def _pin(pin: Pin, name: str, label: str, problem: Problem, findings: Findings) -> bool:
    why = problem(pin.table_id, pin.version)
    if why is not None:
        findings.add("index_pin", label, name, f"version {pin.version} of table {pin.table_id}", why)
    return why is None


def withdraw(folder: str) -> None:
    """Make an index count no more: readers pass over a folder without a manifest, and `maintain` sweeps it."""
    storage.delete(storage.join(folder, MANIFEST))
