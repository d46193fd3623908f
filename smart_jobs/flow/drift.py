"""After an upgrade of the libraries: do they still compute what the lake holds? A few stored segments say."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow.compute as pc

from smart_jobs import progress, schema
from smart_jobs.decode import units
from smart_jobs.decode.units import Policy
from smart_jobs.encode.encoder import Encoder
from smart_jobs.lake import lease, table
from smart_jobs.lake.table import EncoderTables
from smart_jobs.records import Asset, Embedding, JobError, Planned, Segment

SHAPING = ("numpy", "pymupdf-lite", "tokenizers", "torch", "transformers")
"""Libraries whose versions may change a vector."""

COMPARED = 8
LEAST_COSINE = 0.9999


def changes(tables: EncoderTables) -> dict[str, tuple[str, str]]:
    """{library: (version of the last finished run, version now)} where they differ; empty before the first run."""
    runs = table.open_table(tables.table_uri(schema.RUNS))
    mine = (pc.field("spec") == tables.spec.digest) & (pc.field("phase") == "end")
    rows = table.read(runs, ["at", "libraries"], mine).sort_by([("at", "descending")]).slice(0, 1).to_pylist()
    if not rows:
        return {}
    before, now = dict(rows[0]["libraries"]), lease.libraries()
    return {
        name: (before.get(name, "none"), now.get(name, "none")) for name in SHAPING if before.get(name) != now.get(name)
    }


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
                f"{described(changes(tables))}; install the former versions, or ingest into another lake"
            )
    progress.say(f"ingest: {described(changes(tables))}; {len(again)} stored segments compared, all the same")


def described(changed: Mapping[str, tuple[str, str]]) -> str:
    """`torch 2.15.0 -> 2.16.0, …`."""
    return ", ".join(f"{name} {before} -> {now}" for name, (before, now) in changed.items())


def _stored(tables: EncoderTables, assets: Sequence[str]) -> dict[int, tuple[str, np.ndarray]]:
    """Asset and pooled vector by segment id, of a few segments of these assets."""
    pooled = table.open_table(tables.table_uri(schema.POOLED))
    rows = table.read(pooled, ["segment_id", "asset_id", "pooled"], pc.field("asset_id").isin(list(assets)))
    few = rows.sort_by("segment_id").slice(0, COMPARED).to_pylist()
    return {row["segment_id"]: (row["asset_id"], np.array(row["pooled"], np.float32)) for row in few}


def _segments(planned: Sequence[Planned], policy: Policy, stored: Mapping[int, object]) -> list[Segment]:
    cut = (row for unit in units.units(planned, policy) for row in unit["segments"][0].as_py())
    return [units.segment(row) for row in cut if row["segment_id"] in stored]
