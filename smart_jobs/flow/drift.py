"""After an upgrade of the libraries: do they still compute what the lake holds? A few stored segments say."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow.compute as pc

from smart_jobs import progress, schema
from smart_jobs.decode import units
from smart_jobs.decode.cutting import Policy
from smart_jobs.encode.encoder import Encoder
from smart_jobs.lake import libraries, table
from smart_jobs.lake.layout import EncoderTables
from smart_jobs.records import Asset, Embedding, JobError, Planned, Segment

COMPARED = 8
LEAST_COSINE = 0.9999


def check(tables: EncoderTables, assets: Sequence[Asset], policy: Policy, encoder: Encoder) -> None:
    """Encode up to `COMPARED` stored segments of these assets again and compare their pooled vectors.

    Only content that is unchanged counts, as its segments have the same ids. Raises JobError where a cosine is below
    `LEAST_COSINE`: old and new vectors would not be comparable.
    """
    stored = _stored(tables, [asset.id for asset in assets])
    wanted = [asset for asset in assets if asset.id in {row_asset for row_asset, _ in stored.values()}][:COMPARED]
    again = _segments([Planned(asset) for asset in wanted], policy, stored)[:COMPARED]
    results = encoder.encode(again)
    for segment, result in zip(again, results, strict=True):
        cosine = float(result.pooled @ stored[segment.segment_id][1]) if isinstance(result, Embedding) else 0.0
        if cosine < LEAST_COSINE:
            raise JobError(
                f"{segment.uri} ({segment.ordinal}) encodes to another vector than stored (cosine {cosine:.5f}) since "
                f"{libraries.described(tables)}; install the former versions, or ingest into another lake"
            )
    progress.say(f"ingest: {libraries.described(tables)}; {len(again)} stored segments compared, all the same")


def _stored(tables: EncoderTables, assets: Sequence[str]) -> dict[int, tuple[str, np.ndarray]]:
    """Asset and pooled vector by segment id, of a few segments of these assets."""
    pooled = table.open_table(tables.table_uri(schema.POOLED))
    rows = table.read(pooled, ["segment_id", "asset_id", "pooled"], pc.field("asset_id").isin(list(assets)))
    few = rows.sort_by("segment_id").slice(0, COMPARED).to_pylist()
    return {row["segment_id"]: (row["asset_id"], np.array(row["pooled"], np.float32)) for row in few}


def _segments(planned: Sequence[Planned], policy: Policy, stored: Mapping[int, object]) -> list[Segment]:
    cut = (segment for unit in units.units(planned, policy) for segment in units.segments(unit))
    return [segment for segment in cut if segment.segment_id in stored]
