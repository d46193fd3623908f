"""The Arrow schemas of what the stages of a run pass to each other."""

import pyarrow as pa

from smart_jobs import schema

ATTACHED = pa.schema([("uri", pa.string()), ("media", pa.string()), ("stamp", pa.string())])
"""A file that a row of a table names."""

ASSET = pa.schema(
    [
        ("uri", pa.string()),
        ("source", pa.string()),
        ("stamp", pa.string()),
        ("media", pa.string()),
        ("size", pa.int64()),
        ("title", pa.string()),
        ("text", pa.string()),
        ("side", pa.string()),
        ("instruction", pa.string()),
        ("meta", schema.META),
        ("files", pa.list_(schema.row_type(ATTACHED))),
        ("verbatim", pa.bool_()),
    ]
)
"""An asset as a source lists it."""

PLANNED = pa.schema(
    [
        ("asset", pa.struct(list(ASSET))),
        ("complete", pa.list_(pa.string())),
        ("partial", pa.map_(pa.string(), pa.list_(pa.int32()))),
    ]
)
"""An asset that decoding must open, with what the lake already has of it: whole versions, and ordinals of others."""

VISUAL = pa.schema(
    [
        ("kind", pa.string()),
        ("frames", pa.int32()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("times", pa.list_(pa.float64())),
    ]
)
"""The shape of an image or of a clip's frames; their pixels are in the unit."""

SEGMENT = pa.schema(
    [
        ("segment_id", pa.int64()),
        ("asset_id", pa.string()),
        ("uri", pa.string()),
        ("source", pa.string()),
        ("version", pa.string()),
        ("media", pa.string()),
        ("ordinal", pa.int32()),
        ("of", pa.int32()),
        ("page", pa.int32()),
        ("title", pa.string()),
        ("text", pa.string()),
        ("side", pa.string()),
        ("instruction", pa.string()),
        ("meta", schema.META),
        ("start", pa.float64()),
        ("end", pa.float64()),
        ("visuals", pa.list_(schema.row_type(VISUAL))),
    ]
)
"""A segment on its way from decode to encode."""

COPY = pa.schema([("asset", schema.row_type(ASSET)), ("version", pa.string())])
"""An asset whose content the lake has under another URI."""

UNIT = pa.schema(
    [
        ("unit", pa.string()),
        ("segments", pa.list_(schema.row_type(SEGMENT))),
        ("pixels", pa.list_(pa.large_binary())),
        ("copies", pa.list_(schema.row_type(COPY))),
        ("failures", pa.list_(schema.row_type(schema.FAILURES.columns))),
        ("assets", pa.list_(schema.row_type(schema.ASSETS.columns))),
    ]
)
"""One Ray row of work: segments to encode, assets to copy, and what decoding already rejected or listed.

`pixels` has the bytes of each visual, of all segments in order.
"""

STATES_FILE = pa.schema([("path", pa.string()), ("size", pa.int64()), ("rows", pa.int64())])

RECEIPT = pa.schema(
    [
        ("unit", pa.string()),
        ("states", pa.list_(schema.row_type(STATES_FILE))),
        ("pooled", pa.list_(schema.row_type(schema.POOLED.columns))),
        ("failures", pa.list_(schema.row_type(schema.FAILURES.columns))),
        ("assets", pa.list_(schema.row_type(schema.ASSETS.columns))),
        ("reused", pa.int64()),
        ("seconds", pa.map_(pa.string(), pa.float64())),
    ]
)
"""Everything that one unit produced, all tables together.

`states` names the files that the actor wrote; `reused` counts the rows of pooled that are copies.
"""
