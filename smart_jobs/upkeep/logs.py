"""The logs of tables: a checkpoint, so that they open fast, and the commits before the oldest version that is needed.

Delta's own cleanup goes by age alone and may take a version that an index or an evaluation pins; it is never called.
"""

import re
from collections.abc import Collection
from datetime import datetime

from smart_jobs import storage
from smart_jobs.lake import table
from smart_jobs.upkeep import datafiles

FILE = re.compile(r"^(\d{20})\.(json|checkpoint\.parquet|checkpoint\..+)$")


def checkpoint(uri: str) -> None:
    """Write down the newest version in one file, where it is not yet."""
    handle = table.open_table(uri)
    if handle.version() not in _checkpoints(_entries(uri)):
        handle.create_checkpoint()


def trim(uri: str, since: datetime, pinned: Collection[int]) -> int:
    """Delete what is older than the newest checkpoint that is itself no newer than any version still needed.

    Needed are the newest version, those `pinned`, and those that were the newest after `since`. How many files went.
    """
    entries = _entries(uri)
    old = [version for version, name in entries if name.endswith(".json") and entries[version, name].at < since]
    oldest = min([table.open_table(uri).version(), *pinned, max(old, default=0)])
    start = max((version for version in _checkpoints(entries) if version <= oldest), default=0)
    going = sorted((version, name) for version, name in entries if version < start)
    for _, name in going:
        storage.delete(storage.join(uri, "_delta_log", name))
    return len(going)


def _entries(uri: str) -> dict[tuple[int, str], datafiles.Lying]:
    there = datafiles.lying(storage.join(uri, "_delta_log"))
    matches = ((FILE.match(name), name, info) for name, info in there.items())
    return {(int(match[1]), name): info for match, name, info in matches if match}


def _checkpoints(entries: Collection[tuple[int, str]]) -> set[int]:
    return {version for version, name in entries if name.endswith(".checkpoint.parquet")}
