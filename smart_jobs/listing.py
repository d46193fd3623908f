"""The files that a path, a folder or a glob names, in the order of their paths."""

import fnmatch

from smart_jobs import storage
from smart_jobs.objects import Info
from smart_jobs.records import UsageError


def matches(uri: str) -> list[tuple[str, Info]]:
    """The files that a path, folder or glob names; what is there under the name itself is no glob."""
    if any(mark in uri for mark in "*?[") and not storage.exists(uri):
        above = root(uri)
        wanted = uri.removeprefix(above).lstrip("/").split("/")
        files = storage.list_files(above, recursive=wanted == ["**"] or len(wanted) > 1)
        found = [item for item in files if _glob(item[0].removeprefix(above).lstrip("/").split("/"), wanted)]
    elif storage.is_folder(uri):
        found = [item for item in storage.list_files(uri) if not _hidden(item[0].removeprefix(uri))]
    else:
        info = storage.info(uri)
        found = [(uri, info)] if info.kind == "file" else []
    if not found and not storage.is_folder(uri):
        raise UsageError(f"source {uri}: nothing there; expected a file, a folder, a glob that matches, or a table")
    return found


def root(glob: str) -> str:
    """The folder above a glob's first mark."""
    return glob[: min(glob.find(mark) for mark in "*?[" if mark in glob)].rpartition("/")[0] or "/"


def _glob(names: list[str], pattern: list[str]) -> bool:
    """Shell matching, name by name: `**` stands for any folders, and a leading dot must be named."""
    if not pattern or not names:
        return names == pattern or pattern == ["**"]
    shown = not names[0].startswith(".")
    if pattern[0] == "**":
        return _glob(names, pattern[1:]) or (shown and _glob(names[1:], pattern))
    named = shown or pattern[0].startswith(".")
    return named and fnmatch.fnmatchcase(names[0], pattern[0]) and _glob(names[1:], pattern[1:])


def _hidden(path: str) -> bool:
    return any(part.startswith(".") for part in path.split("/"))
