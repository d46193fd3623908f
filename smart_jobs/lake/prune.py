"""Assets that the lake has of a source and the source has no more."""

from collections.abc import Collection
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from smart_jobs import schema
from smart_jobs.lake import rewriting, table
from smart_jobs.lake.layout import EncoderTables


@dataclass(frozen=True, slots=True)
class Gone:
    """{asset id: uri} of the assets that a listing lacks, and how many the lake has of its sources in all."""

    assets: dict[str, str]
    of: int


def gone(tables: EncoderTables, sources: Collection[str], listed: Collection[str]) -> Gone:
    """Compare what pooled and failures say of these sources with the asset ids that were listed.

    Only rows that name one of the sources count: what other sources brought in is not asked about.
    """
    ours = pc.field("source").isin(pa.array(list(sources), pa.string()))
    columns = ["asset_id", "uri"]
    pooled = table.read(table.open_table(tables.table_uri(schema.POOLED)), columns, ours)
    mine = ours & ((pc.field("spec") == tables.spec.digest) | pc.field("spec").is_null())
    failed = table.read(table.open_table(tables.table_uri(schema.FAILURES)), columns, mine)
    rows = pa.concat_tables([pooled, failed.cast(pooled.schema)]).group_by(columns).aggregate([])
    there = pa.array(list(listed), pa.string())
    missing = rows.filter(pc.invert(pc.is_in(rows["asset_id"], there)))
    assets = dict(zip(missing["asset_id"].to_pylist(), missing["uri"].to_pylist(), strict=True))
    return Gone(assets, rows.num_rows)


def forget_failures(tables: EncoderTables, assets: Collection[str]) -> int:
    """Take the failures of assets that are gone out of the shared table, this encoder's and those of any encoder."""
    ids = pa.array(list(assets), pa.string())

    def keep(rows: pa.Table) -> pa.Array:
        ours = pc.fill_null(pc.equal(rows["spec"], tables.spec.digest), fill_value=True)
        return pc.invert(pc.and_(ours, pc.is_in(rows["asset_id"], ids)))

    return rewriting.drop(tables.lake, schema.FAILURES, pc.field("asset_id").isin(ids), keep)
