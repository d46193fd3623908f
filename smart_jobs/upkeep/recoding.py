"""Stored states in another codec: every file is written again, one commit each, and the encoder's marker last."""

import json
from collections.abc import Callable

import pyarrow as pa

from smart_jobs import schema, storage
from smart_jobs.lake import table, writer
from smart_jobs.lake.groups import Groups
from smart_jobs.lake.layout import EncoderTables
from smart_jobs.upkeep import datafiles

Change = Callable[[pa.Table], pa.Table]
"""Rows of hidden_states -> the same rows in the codec that is wanted."""


def recode(tables: EncoderTables, commits: Groups, codec: str, change: Change) -> int:
    """Write the files that hold states of another codec than `codec` again; how many there were.

    Readers that have opened the lake go on with the files they know; a file is decoded by the codec that its offsets
    name. Killed between, the next run goes on: the marker says the old codec until the last file is written.
    """
    uri, kind = tables.table_uri(schema.HIDDEN_STATES), schema.HIDDEN_STATES
    names = [name for name in sorted(datafiles.named(table.open_table(uri))) if _codecs(uri, name) != {codec}]
    for name in names:
        rows = datafiles.rows(uri, name, kind)
        commits.commit({kind.name: writer.write_states(tables, change(rows))}, {kind.name: [name]})
    marker = storage.join(tables.uri, "encoder.json")
    content = json.loads(storage.read_bytes(marker))
    if content["codec"] != codec:
        storage.write_bytes(marker, json.dumps({**content, "codec": codec}, indent=2).encode())
    return len(names)


def _codecs(uri: str, name: str) -> set[str]:
    return set(datafiles.read(uri, name, ["codec"])["codec"].to_pylist())
