"""What is damaged leaves the tables, so that the next ingest finds it missing and encodes it again."""

from collections.abc import Collection
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from smart_jobs import schema, storage
from smart_jobs.lake import pending, rewriting, table, writer
from smart_jobs.lake.groups import Groups
from smart_jobs.lake.layout import EncoderTables, Lake
from smart_jobs.lake.table import Change
from smart_jobs.upkeep import datafiles
from smart_jobs.upkeep.findings import Damage


def shared(lake: Lake, kind: schema.Table, bad: Collection[str]) -> None:
    """Take files that cannot be trusted out of the log of a table that all encoders share.

    Failures and assets are written anew by the next ingest; rows of runs and evaluations are lost.
    """
    handle = table.open_table(lake.table_uri(kind))
    gone = sorted(set(bad) & set(datafiles.named(handle)))
    if gone:
        table.commit(handle, Change([], gone, {}, {}))


def pendings(tables: EncoderTables) -> None:
    """Take files that are not there out of the pending commits: applied as they are, they would be committed."""
    for item in pending.listed(tables):
        gone = {datafiles.name_of(uri) for uri in pending.missing(tables, item)}
        if gone:
            adds = {name: [file for file in files if file.path not in gone] for name, files in item.adds.items()}
            waits = [name for name in item.waiting if name not in gone]
            pending.write(tables, replace(item, adds=adds, waiting=waits))


def encoder(tables: EncoderTables, commits: Groups, damage: Damage) -> None:
    """Take damaged files and rows out of both tables, write offsets anew. A crash between leaves the rest to do."""
    named = {
        kind.name: set(datafiles.named(table.open_table(tables.table_uri(kind)))) for kind in schema.ENCODER_TABLES
    }
    gone = {name: sorted(damage.files[name] & paths) for name, paths in named.items()}
    if any(gone.values()):
        commits.commit({}, gone)
    for name in sorted((damage.offsets & named[schema.HIDDEN_STATES.name]) - set(gone[schema.HIDDEN_STATES.name])):
        _offsets(tables, name)
    if damage.segments:
        _rows(tables, commits, pa.array(sorted(damage.segments), pa.int64()))


def _offsets(tables: EncoderTables, name: str) -> None:
    root = tables.table_uri(schema.HIDDEN_STATES)
    data = pa.py_buffer(storage.read_bytes(storage.join(root, name)))
    rows = datafiles.rows(root, name, schema.HIDDEN_STATES)
    storage.write_bytes(writer.offsets_uri(root, name), writer.offsets_file(rows, data))


def _rows(tables: EncoderTables, commits: Groups, segments: pa.Array) -> None:
    def keep(rows: pa.Table) -> pa.Array:
        return pc.invert(pc.is_in(rows["segment_id"], segments))

    where = pc.field("segment_id").isin(segments)
    pooled, states = (
        rewriting.rest(table.open_table(tables.table_uri(kind)), kind, where, keep)
        for kind in (schema.POOLED, schema.HIDDEN_STATES)
    )
    if pooled.gone or states.gone:
        stays: pa.Table = pa.concat_tables([schema.POOLED.columns.empty_table(), *pooled.parts])
        uri = tables.table_uri(schema.POOLED)
        written = [writer.write_states(tables, part) for part in states.parts if part.num_rows]
        adds = {
            schema.HIDDEN_STATES.name: [file for files in written for file in files],
            schema.POOLED.name: [table.write_file(uri, schema.POOLED, stays)] if stays.num_rows else [],
        }
        commits.commit(adds, {schema.POOLED.name: pooled.removes, schema.HIDDEN_STATES.name: states.removes})
