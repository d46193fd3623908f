"""Rows of hidden_states that are there already -> a new states file in the one layout, their bytes as they are."""

import uuid

import pyarrow as pa

from smart_jobs import schema, storage
from smart_jobs.lake import table, writer
from smart_jobs.lake.layout import EncoderTables
from smart_jobs.lake.table import File


def write(tables: EncoderTables, rows: pa.Table) -> File:
    """Write `rows`, all of one codec, with their offsets first; not committed yet.

    Held in memory twice, as rows and as the file. A crash leaves files that nothing refers to.
    """
    checked = rows.select(schema.HIDDEN_STATES.columns.names).combine_chunks().cast(schema.HIDDEN_STATES.columns)
    data = writer.states_file(checked)
    root, name = tables.table_uri(schema.HIDDEN_STATES), f"{uuid.uuid4().hex}.parquet"
    storage.write_bytes(writer.offsets_uri(root, name), writer.offsets_file(checked, data))
    storage.write_bytes(storage.join(root, name), data.to_pybytes())
    return File(name, data.size, checked.num_rows, table.stats(checked.num_rows))
