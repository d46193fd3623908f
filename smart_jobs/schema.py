"""Every table of a lake: its Arrow schema, its key and its place in the order of commit.

This is the one place where a column is named; readers and writers take their columns from here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

VERSION = 3
"""The version of these schemas, recorded in a lake's marker, in every table's description and in docs/lake.md.

It grows when a column is added; `lake.table.read` gives older tables the columns that they lack.
"""

META = pa.map_(pa.string(), pa.string())
TIME = pa.timestamp("us", tz="UTC")

Column = tuple[str, pa.DataType, str]


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its name in the lake, its columns, and the columns that make a row one of a kind.

    `about` and `meanings` (by column) are for people: docs/lake.md is made from them.
    """

    name: str
    columns: pa.Schema
    key: tuple[str, ...]
    about: str = field(compare=False)
    meanings: Mapping[str, str] = field(compare=False)


def _table(name: str, about: str, key: tuple[str, ...], *required: Column, optional: tuple[Column, ...] = ()) -> Table:
    fields = [pa.field(column, kind, nullable=False) for column, kind, _ in required]
    fields += [pa.field(column, kind) for column, kind, _ in optional]
    meanings = {column: meaning for column, _, meaning in (*required, *optional)}
    return Table(name, pa.schema(fields), key, about, meanings)


def _list(element: pa.DataType) -> pa.DataType:
    return pa.list_(pa.field("element", element, nullable=False))


TOKENS = ("token_kinds", "grids", "frame_times")
"""The columns of hidden_states that say what its tokens are."""

HIDDEN_STATES = _table(
    "hidden_states",
    "The token vectors of every segment, from the same forward pass as its pooled vector.",
    ("segment_id",),
    ("segment_id", pa.int64(), "the segment, as in pooled"),
    ("n_tokens", pa.int32(), "token vectors in `states`; padding and special tokens have none"),
    ("dim", pa.int32(), "dimensions of each"),
    ("codec", pa.string(), "how `states` is stored; one for a whole table"),
    ("states", pa.binary(), "the token vectors as bytes, as the codec lays them out"),
    optional=(
        (
            "token_kinds",
            _list(pa.int32()),
            "what the tokens are, in order, as kind, count, kind, count …: 1 template, 2 instruction, 3 text, 4 image, "
            "5 video, 6 timestamp; null where a state stands for no single token",
        ),
        ("grids", _list(pa.int32()), "tokens in time, height and width of each image or video"),
        ("frame_times", _list(pa.float64()), "seconds at which the frames of its videos stand"),
    ),
)

POOLED = _table(
    "pooled",
    "One row for every encoded segment; the row is there if and only if the segment is done.",
    ("segment_id",),
    ("segment_id", pa.int64(), "positive hash of uri, version and ordinal: the same under every encoder"),
    ("asset_id", pa.string(), "hash of the uri"),
    ("uri", pa.string(), "where the asset lies; a row of a table is `<table>#<id>`"),
    ("source", pa.string(), "name of the source that listed it"),
    (
        "version",
        pa.string(),
        "blake2b-128 of the bytes that were decoded, `!…` behind it where pages could not be read; the stamp of a row",
    ),
    ("media", pa.string(), "document, text, row, image or video"),
    ("ordinal", pa.int32(), "place of the segment within its asset, from 0"),
    ("of", pa.int32(), "segments that this version of the asset was cut into"),
    ("title", pa.string(), "name of the file, or the title column of a table; may be empty"),
    ("text", pa.string(), "the segment's text, its first 1,000 characters"),
    ("n_tokens", pa.int32(), "token vectors in hidden_states"),
    ("pooled", _list(pa.float32()), "the embedding, of norm 1"),
    (
        "pooled_kind",
        pa.string(),
        "`model`, or `mean_states`: the mean of the states of a model that pools nothing",
    ),
    ("run_id", pa.string(), "the run that encoded it"),
    ("encoded_at", TIME, "when"),
    optional=(
        ("page", pa.int32(), "page of a document, from 1"),
        ("start", pa.float64(), "seconds at which the segment starts, where media has time"),
        ("end", pa.float64(), "seconds at which it ends"),
        ("meta", META, "further columns of the source, as text"),
    ),
)

FAILURES = _table(
    "failures",
    "What could not be encoded, and why: a whole asset, or one of its segments.",
    ("spec", "asset_id", "version", "ordinal"),
    ("asset_id", pa.string(), "hash of the uri"),
    ("uri", pa.string(), "where the asset lies"),
    ("source", pa.string(), "name of the source that listed it"),
    ("version", pa.string(), "as in pooled; `stamp:<stamp>` of a file that could not be read"),
    ("step", pa.string(), "the stage that noticed: read, decode or encode"),
    ("reason", pa.string(), "one word of a closed list"),
    ("detail", pa.string(), "one line for a person"),
    ("attempts", pa.int32(), "how often it was tried; a later attempt replaces the row"),
    ("run_id", pa.string(), "the run that recorded it"),
    ("at", TIME, "when"),
    optional=(
        ("spec", pa.string(), "digest of the encoder; null where no encoder can change it"),
        ("ordinal", pa.int32(), "the segment; null for the whole asset"),
        ("of", pa.int32(), "segments of the asset, where that is known"),
    ),
)

ASSETS = _table(
    "assets",
    "What listing saw: a cache by which the next run tells what is unchanged. The newest run_id of an asset counts.",
    ("asset_id", "run_id"),
    ("asset_id", pa.string(), "hash of the uri"),
    ("uri", pa.string(), "where the asset lies"),
    ("source", pa.string(), "name of the source that listed it"),
    ("stamp", pa.string(), "what a listing tells of the content: size and mtime or etag; the digest of a row"),
    ("version", pa.string(), "as in pooled: the content that this stamp stood for"),
    ("media", pa.string(), "document, text, row, image or video"),
    ("size", pa.int64(), "bytes"),
    ("run_id", pa.string(), "the run that listed it; run ids sort by time"),
)

RUNS = _table(
    "runs",
    "Every run that writes: a row when it starts and one when it ends. A start alone is running, or was killed.",
    ("run_id", "phase"),
    ("run_id", pa.string(), "names the run; sorts by time"),
    ("phase", pa.string(), "start, end or failed"),
    ("job", pa.string(), "the verb"),
    ("spec", pa.string(), "digest of the encoder"),
    ("epoch", pa.int64(), "number of its claim as the one writer of the encoder's tables"),
    ("host", pa.string(), "machine of the driver"),
    ("pid", pa.int64(), "process of the driver"),
    ("at", TIME, "when this row was written"),
    ("libraries", META, "installed versions of what shapes the numbers"),
    ("summary", pa.string(), "at the end what the run did, as JSON; else empty"),
)

EVALUATIONS = _table(
    "evaluations",
    "One row for every task that was scored, and scoring.",
    ("run_id", "task", "scoring"),
    ("run_id", pa.string(), "names the evaluation; sorts by time"),
    ("suite", pa.string(), "the benchmark"),
    ("task", pa.string(), "one of its datasets"),
    ("spec", pa.string(), "digest of the encoder"),
    ("scoring", pa.string(), "pooled, late, hybrid or two_stage"),
    ("lambda_pooled", pa.float64(), "weight of the pooled score in hybrid"),
    ("lambda_late", pa.float64(), "weight of the late score in hybrid"),
    ("candidates", pa.int64(), "segments that the index passed on in two_stage"),
    ("queries", pa.int64(), "judged queries that the measures are means of"),
    ("metrics", pa.map_(pa.string(), pa.float64()), "measure to value, e.g. `ndcg@10`"),
    ("table_versions", pa.string(), "the table ids and versions that were scored, as JSON"),
    ("at", TIME, "when"),
    optional=(
        ("repeatable", pa.bool_(), "false where an asset that it ranked was forgotten; null: it is"),
        ("category", pa.string(), "the group of tasks that it belongs to; empty where the suite has none"),
        ("modality", pa.string(), "the same, coarser"),
        ("primary", pa.string(), "the measure that counts in means over tasks"),
        ("asked", pa.int64(), "queries of the task"),
        ("ranked", pa.int64(), "distinct candidates of the task"),
        ("expected_queries", pa.int64(), "how many queries its authors state, where they do"),
        ("expected_candidates", pa.int64(), "how many candidates they state"),
        ("failed_queries", pa.int64(), "queries that could not be encoded: they found nothing"),
        ("failed_candidates", pa.int64(), "candidates that could not be encoded: nobody found them"),
        ("failures", pa.map_(pa.string(), pa.int64()), "why, as in the table failures, and of how many"),
        ("mask", pa.string(), "which tokens of documents were scored"),
        ("mask_query", pa.string(), "which of queries"),
        ("codec", pa.string(), "as which codec's the states of documents were scored"),
        ("encoded", pa.int64(), "segments that its run encoded, for all tasks"),
        ("seconds", pa.float64(), "what scoring the task took"),
    ),
)

EVALUATION_QUERIES = _table(
    "evaluation_queries",
    "What each query of an evaluation found.",
    ("run_id", "task", "query", "scoring"),
    ("run_id", pa.string(), "the evaluation"),
    ("task", pa.string(), "one of the suite's datasets"),
    ("query", pa.string(), "the query's name in the suite"),
    ("scoring", pa.string(), "pooled, late, hybrid or two_stage"),
    ("hits", _list(pa.string()), "names of the best candidates, best first"),
    ("scores", _list(pa.float64()), "their scores"),
    ("metrics", pa.map_(pa.string(), pa.float64()), "measure to value; empty for a query without judgements"),
)

HITS = _table(
    "hits",
    "What a batch search found: the best places of each query, best first.",
    ("query", "rank"),
    ("query", pa.string(), "the query's id in its table, or the number of its row"),
    ("rank", pa.int32(), "from 1"),
    ("segment_id", pa.int64(), "the place's best segment, as in pooled"),
    ("uri", pa.string(), "where its asset lies, as in pooled"),
    ("score", pa.float32(), "lambda_pooled · pooled + lambda_late · late"),
    ("late", pa.float32(), "mean over the query's tokens of the best cosine among the segment's"),
    optional=(
        ("pooled", pa.float32(), "cosine of the pooled vectors; null where the model has none of its own"),
        ("page", pa.int32(), "page of a document, from 1"),
        ("start", pa.float64(), "seconds at which the segment starts, where media has time"),
        ("end", pa.float64(), "seconds at which it ends"),
    ),
)

QUERY_FAILURES = _table(
    "query_failures",
    "The queries of a batch search that could not be asked, and why.",
    ("query",),
    ("query", pa.string(), "as in hits"),
    ("step", pa.string(), "the stage that noticed: read, decode or encode"),
    ("reason", pa.string(), "one word of a closed list, as in the lake's failures"),
    ("detail", pa.string(), "one line for a person"),
)

COMMIT_ORDER = (HIDDEN_STATES, FAILURES, POOLED, ASSETS)
"""States first, so that a pooled row never lacks them; pooled is the done-marker; assets is a cache."""

ENCODER_TABLES = (HIDDEN_STATES, POOLED)
"""Tables that each encoder has of its own, under `encoders/<name>-<digest>/`."""

LAKE_TABLES = (FAILURES, ASSETS, RUNS, EVALUATIONS, EVALUATION_QUERIES)
"""Tables that all encoders of a lake share."""

SEARCH_FILES = (HITS, QUERY_FAILURES)
"""What the files of a batch search hold; no table of a lake."""


def row_type(schema: pa.Schema) -> pa.DataType:
    """The struct that holds one row of `schema`, for lists of rows inside a unit or a receipt."""
    return pa.struct(list(schema))
