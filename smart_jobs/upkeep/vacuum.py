"""Files that no version needs any more: deleted by us, since deltalake's own vacuum commits, and knows no offsets.

Every commit to pooled names the hidden_states that go with it; a vacuum's does not, and readers would open the oldest.
"""

from collections.abc import Collection
from datetime import datetime

from deltalake.exceptions import DeltaError

from smart_jobs import schema, storage
from smart_jobs.lake import pending, table
from smart_jobs.lake.layout import EncoderTables
from smart_jobs.lake.writer import offsets_uri
from smart_jobs.records import JobError
from smart_jobs.upkeep import datafiles
from smart_jobs.upkeep.datafiles import Lying

Going = dict[str, int]
"""{URI: bytes} of what is to be deleted."""


def needed(uri: str, since: datetime, pinned: Collection[int]) -> set[str]:
    """The files of the newest version, of every version that was the newest after `since`, and of those `pinned`.

    A pinned version that cannot be loaded protects nothing.
    """
    files = set(datafiles.named(table.open_table(uri))) | datafiles.replaced(uri, since)
    for version in sorted(pinned):
        try:
            files |= set(table.files_of(table.open_table(uri, version)))
        except (JobError, DeltaError):
            continue
    return files


def of_encoder(tables: EncoderTables, since: datetime, pins: dict[str, set[int]]) -> Going:
    """What the encoder's two tables do not need, and the offsets of states files that go or are gone.

    Only for who holds the lease: nobody else may be writing files that are not committed yet.
    """
    going: Going = {}
    also = {file.path for item in pending.listed(tables) for files in item.adds.values() for file in files}
    for kind in schema.ENCODER_TABLES:
        uri = tables.table_uri(kind)
        stay = needed(uri, since, pins.get(table.table_id(table.open_table(uri)), ())) | also
        going |= {storage.join(uri, name): info.size for name, info in datafiles.lying(uri).items() if name not in stay}
    root = tables.table_uri(schema.HIDDEN_STATES)
    kept = {offsets_uri(root, name) for name in datafiles.lying(root) if storage.join(root, name) not in going}
    for uri, info in storage.list_files(storage.join(root, "_offsets")):
        if uri not in kept:
            going[uri] = info.size
    return going


def of_shared(uri: str, since: datetime, before: datetime, also: Collection[str]) -> Going:
    """What a table that all encoders share does not need.

    Files that its log has never named go only where they were written `before`: other writers commit theirs later.
    `also` are files that pending commits name.
    """
    stay = needed(uri, since, ()) | set(also)
    unneeded = {name: info for name, info in datafiles.lying(uri).items() if name not in stay}
    return {storage.join(uri, name): info.size for name, info in _settled(uri, unneeded, before).items()}


def _settled(uri: str, files: dict[str, Lying], before: datetime) -> dict[str, Lying]:
    known = datafiles.replaced(uri) if any(info.at >= before for info in files.values()) else set()
    return {name: info for name, info in files.items() if info.at < before or name in known}


def delete(going: Going) -> None:
    """Delete them; a crash leaves the rest to the next run. Offsets go after their states file."""
    for uri in sorted(going, key=lambda uri: "/_offsets/" in uri):
        storage.delete(uri)
