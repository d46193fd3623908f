"""The end of an encoder's life: its marker goes first, so that nothing opens what is left of its tables."""

import pyarrow as pa
import pyarrow.compute as pc

from smart_jobs import schema, storage
from smart_jobs.lake import rewriting
from smart_jobs.lake.layout import EncoderTables, Lake
from smart_jobs.upkeep.vacuum import Going

MARKER, DROPPED = "encoder.json", "dropped.json"


def files(tables: EncoderTables) -> Going:
    """All that the encoder's folder holds."""
    return {uri: info.size for uri, info in storage.list_files(tables.uri)}


def retire(tables: EncoderTables) -> None:
    """From here on the lake has no such encoder; called by who holds its lease.

    A crash before leaves it as it was, a crash after leaves a folder that `finish` removes.
    """
    marker = storage.join(tables.uri, MARKER)
    storage.write_bytes(storage.join(tables.uri, DROPPED), storage.read_bytes(marker))
    storage.delete(marker)


def left(lake: Lake) -> list[str]:
    """The full names of encoders whose folders are still there, without a marker."""
    root = storage.join(lake.uri, "encoders")
    return [
        name
        for name in storage.folders(root)
        if storage.exists(storage.join(root, name, DROPPED)) and not storage.exists(storage.join(root, name, MARKER))
    ]


def finish(lake: Lake, name: str) -> Going:
    """Remove its failures and its folder, the note that it was dropped last; what was deleted."""
    digest = name.rpartition("-")[2]

    def keep(rows: pa.Table) -> pa.Array:
        return pc.fill_null(pc.not_equal(rows["spec"], digest), fill_value=True)

    rewriting.drop(lake, schema.FAILURES, pc.field("spec") == digest, keep)
    folder = storage.join(lake.uri, "encoders", name)
    going = {uri: info.size for uri, info in storage.list_files(folder)}
    for uri in sorted(going, key=lambda uri: uri == storage.join(folder, DROPPED)):
        storage.delete(uri)
    storage.delete_folder(folder)
    return going
