"""The queries of a lake's evaluations: what is really asked, as it is stored."""

import numpy as np
import pyarrow.compute as pc

from smart_jobs import schema, storage
from smart_jobs.encode.spec import EncoderSpec
from smart_jobs.evaluate.tasks import Item
from smart_jobs.lake import layout, matrices, table
from smart_jobs.lake.layout import Lake
from smart_jobs.records import Side

MOST = 500
"""Queries that are taken, at most: the first by id."""


def uri(text: str, title: str, side: Side) -> str:
    """The URI of what evaluations encode: a digest of content, instruction and side, so it is encoded once."""
    return Item(text, title).asset(side, "").uri


def stored(lake: Lake, spec: EncoderSpec) -> np.ndarray:
    """Pooled vectors (q, d) float32 of the queries in `<lake>/evaluation`; none where nothing was evaluated.

    A row is a query where its text has the URI of one, which holds for those within the excerpt that pooled keeps.
    """
    inner = storage.join(lake.uri, "evaluation")
    none = np.empty((0, spec.dim), np.float32)
    if not storage.exists(storage.join(inner, "_lake.json")):
        return none
    evaluation = layout.open_lake(inner)
    if spec.full_name not in layout.encoders(evaluation):
        return none
    pooled = table.open_table(layout.open_encoder(evaluation, spec.full_name).table_uri(schema.POOLED))
    rows = table.read(pooled, ["segment_id", "uri", "title", "text"], pc.field("ordinal") == 0).sort_by("segment_id")
    asked = [row["segment_id"] for row in rows.to_pylist() if row["uri"] == uri(row["text"], row["title"], "query")]
    found = table.read(pooled, ["segment_id", "pooled"], pc.field("segment_id").isin(asked[:MOST]))
    return matrices.matrix(found.sort_by("segment_id")["pooled"], spec.dim) if asked else none
