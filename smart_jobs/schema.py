"""Every table of a lake: its Arrow schema, its key and its place in the order of commit.

This is the one place where a column is named; readers and writers take their columns from here.
"""

from dataclasses import dataclass

import pyarrow as pa

VERSION = 1
"""The version of these schemas, recorded in every table's description and in every run."""

META = pa.map_(pa.string(), pa.string())
TIME = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its name in the lake, its columns, and the columns that make a row one of a kind."""

    name: str
    columns: pa.Schema
    key: tuple[str, ...]


def _columns(*required: tuple[str, pa.DataType], optional: tuple[tuple[str, pa.DataType], ...] = ()) -> pa.Schema:
    fields = [pa.field(name, kind, nullable=False) for name, kind in required]
    return pa.schema(fields + [pa.field(name, kind) for name, kind in optional])


HIDDEN_STATES = Table(
    "hidden_states",
    _columns(
        ("segment_id", pa.int64()),
        ("n_tokens", pa.int32()),
        ("dim", pa.int32()),
        ("codec", pa.string()),
        ("states", pa.binary()),
    ),
    ("segment_id",),
)

POOLED = Table(
    "pooled",
    _columns(
        ("segment_id", pa.int64()),
        ("asset_id", pa.string()),
        ("uri", pa.string()),
        ("source", pa.string()),
        ("version", pa.string()),
        ("media", pa.string()),
        ("ordinal", pa.int32()),
        ("of", pa.int32()),
        ("title", pa.string()),
        ("text", pa.string()),
        ("n_tokens", pa.int32()),
        ("pooled", pa.list_(pa.field("element", pa.float32(), nullable=False))),
        ("pooled_kind", pa.string()),
        ("run_id", pa.string()),
        ("encoded_at", TIME),
        optional=(("page", pa.int32()), ("start", pa.float64()), ("end", pa.float64()), ("meta", META)),
    ),
    ("segment_id",),
)

FAILURES = Table(
    "failures",
    _columns(
        ("asset_id", pa.string()),
        ("uri", pa.string()),
        ("source", pa.string()),
        ("version", pa.string()),
        ("step", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("attempts", pa.int32()),
        ("run_id", pa.string()),
        ("at", TIME),
        optional=(("spec", pa.string()), ("ordinal", pa.int32()), ("of", pa.int32())),
    ),
    ("spec", "asset_id", "version", "ordinal"),
)

ASSETS = Table(
    "assets",
    _columns(
        ("asset_id", pa.string()),
        ("uri", pa.string()),
        ("source", pa.string()),
        ("stamp", pa.string()),
        ("version", pa.string()),
        ("media", pa.string()),
        ("size", pa.int64()),
        ("run_id", pa.string()),
    ),
    ("asset_id", "run_id"),
)

RUNS = Table(
    "runs",
    _columns(
        ("run_id", pa.string()),
        ("phase", pa.string()),
        ("job", pa.string()),
        ("spec", pa.string()),
        ("epoch", pa.int64()),
        ("host", pa.string()),
        ("pid", pa.int64()),
        ("at", TIME),
        ("libraries", META),
        ("summary", pa.string()),
    ),
    ("run_id", "phase"),
)

EVALUATIONS = Table(
    "evaluations",
    _columns(
        ("run_id", pa.string()),
        ("suite", pa.string()),
        ("task", pa.string()),
        ("spec", pa.string()),
        ("scoring", pa.string()),
        ("lambda_pooled", pa.float64()),
        ("lambda_late", pa.float64()),
        ("candidates", pa.int64()),
        ("queries", pa.int64()),
        ("metrics", pa.map_(pa.string(), pa.float64())),
        ("table_versions", pa.string()),
        ("at", TIME),
        optional=(("repeatable", pa.bool_()),),
    ),
    ("run_id", "task", "scoring"),
)

EVALUATION_QUERIES = Table(
    "evaluation_queries",
    _columns(
        ("run_id", pa.string()),
        ("task", pa.string()),
        ("query", pa.string()),
        ("scoring", pa.string()),
        ("hits", pa.list_(pa.field("element", pa.string(), nullable=False))),
        ("scores", pa.list_(pa.field("element", pa.float64(), nullable=False))),
        ("metrics", pa.map_(pa.string(), pa.float64())),
    ),
    ("run_id", "task", "query", "scoring"),
)

COMMIT_ORDER = (HIDDEN_STATES, FAILURES, POOLED, ASSETS)
"""States first, so that a pooled row never lacks them; pooled is the done-marker; assets is a cache."""

ENCODER_TABLES = (HIDDEN_STATES, POOLED)
"""Tables that each encoder has of its own, under `encoders/<name>-<digest>/`."""

LAKE_TABLES = (FAILURES, ASSETS, RUNS, EVALUATIONS, EVALUATION_QUERIES)
"""Tables that all encoders of a lake share."""

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
        ("meta", META),
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
        ("meta", META),
    ]
)
"""A segment on its way from decode to encode."""


def row_type(schema: pa.Schema) -> pa.DataType:
    """The struct that holds one row of `schema`, for lists of rows inside a unit or a receipt."""
    return pa.struct(list(schema))


UNIT = pa.schema(
    [
        ("unit", pa.string()),
        ("segments", pa.list_(row_type(SEGMENT))),
        ("failures", pa.list_(row_type(FAILURES.columns))),
        ("assets", pa.list_(row_type(ASSETS.columns))),
    ]
)
"""One Ray row of work: segments to encode, and what decoding already rejected or listed."""

STATES_FILE = pa.schema([("path", pa.string()), ("size", pa.int64()), ("rows", pa.int64())])

RECEIPT = pa.schema(
    [
        ("unit", pa.string()),
        ("states", pa.list_(row_type(STATES_FILE))),
        ("pooled", pa.list_(row_type(POOLED.columns))),
        ("failures", pa.list_(row_type(FAILURES.columns))),
        ("assets", pa.list_(row_type(ASSETS.columns))),
        ("seconds", pa.map_(pa.string(), pa.float64())),
    ]
)
"""Everything that one unit produced, all tables together; `states` names the file that the actor wrote."""
