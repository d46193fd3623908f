"""SQL over the tables of a lake, by deltalake's own DataFusion, or a shipped analysis. Reads only; starts no Ray."""

import base64
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa
from deltalake import QueryBuilder
from deltalake.exceptions import DeltaError

from smart_jobs.lake import catalog, layout
from smart_jobs.lake.catalog import Catalog
from smart_jobs.records import JobError, UsageError
from smart_jobs.settings import Sql

READING = re.compile(
    r"\s*(explain\s+(analyze\s+|verbose\s+|format\s+\w+\s+)*)?[\s(]*(select|with|values|show|describe|desc)\b", re.I
)
"""What DataFusion may be given: it would run COPY, DROP and SET as well."""

COMMENT = re.compile(r"\s*(--[^\n]*(\n|$)|/\*.*?\*/)", re.DOTALL)

ONLY = {"cosine": "near_duplicates", "same_asset": "near_duplicates", "other": "drift", "k": "drift", "sample": "drift"}
"""Keys that mean something to one analysis alone."""


def run(job: Sql) -> dict[str, Any]:
    """The JSON object of `smart-jobs sql`: columns, up to `limit` rows, and the count of all of them.

    An analysis adds what it found as a whole. Raises UsageError for anything but one reading statement or one
    analysis, and JobError with DataFusion's words where the query is wrong.
    """
    _check(job)
    lake = layout.open_lake(job.lake.uri)
    if job.analysis is not None:
        from smart_jobs.flow import analyses  # late: a query loads no faiss

        return analyses.run(job, lake)
    return ask(catalog.of(lake, job.encoder), str(job.query), job.limit)


def dry_run(job: Sql) -> dict[str, Any]:
    """The plan of the query, or the arithmetic of the analysis."""
    _check(job)
    lake = layout.open_lake(job.lake.uri)
    if job.analysis is not None:
        from smart_jobs.flow import analyses  # late, as above

        return {"dry_run": True, **analyses.cost(job, lake)}
    query = str(job.query)
    plan = ask(catalog.of(lake, job.encoder), query if _explains(query) else f"EXPLAIN {query}", None)["rows"]
    return {"dry_run": True, **{row["plan_type"]: row["plan"].rstrip() for row in plan}}


def _explains(query: str) -> bool:
    return _bare(query).lower().startswith("explain")


def _bare(query: str) -> str:
    """The query without the comments before it."""
    while found := COMMENT.match(query):
        query = query[found.end() :]
    return query.strip()


def _check(job: Sql) -> None:
    if (job.query is None) == (job.analysis is None):
        raise UsageError('sql: give one query, sql "SELECT …", or analysis=near_duplicates or analysis=drift')
    for key in sorted(job.model_fields_set & ONLY.keys()):
        if job.analysis != ONLY[key]:
            raise UsageError(f"{key}={getattr(job, key)}: only analysis={ONLY[key]} takes it")
    if job.query is not None and not READING.match(_bare(job.query)):
        raise UsageError(f"query={job.query}: sql only reads: SELECT, WITH, VALUES, SHOW, DESCRIBE or EXPLAIN of one")
    if job.analysis == "drift" and job.other is None:
        raise UsageError("other: missing; analysis=drift compares with other=ENCODER or other=version:N")


def ask(tables: Catalog, query: str, limit: int | None) -> dict[str, Any]:
    """Columns, the first `limit` rows and the count of all rows of a query.

    Opens the tables that it names, all where it lists them, and reads the answer as a stream: memory holds the rows
    that are kept. Raises JobError where DataFusion refuses.
    """
    text = query.lower()
    every = re.search(r"\bshow\b|information_schema", text) is not None
    builder = QueryBuilder({"datafusion.catalog.information_schema": "true"})
    for name, open_it in tables.items():
        if every or name in text:
            builder.register(name, open_it())
    try:
        reader = pa.RecordBatchReader.from_stream(builder.execute(query))
        kept, count = _first(reader, limit)
    except (DeltaError, ValueError, OSError, pa.ArrowException) as error:
        raise JobError(f"sql: {_message(error)}{_known(str(error), tables)}") from error
    return {"columns": _names(reader.schema), "rows": _rows(reader.schema, kept), "count": count}


def _message(error: Exception) -> str:
    return " ".join(str(error).split())[:500]


def _known(message: str, tables: Catalog) -> str:
    return f"; tables are {', '.join(sorted(tables))}" if re.search(r"table '.*' not found", message) else ""


def _first(reader: Iterator[pa.RecordBatch], limit: int | None) -> tuple[list[pa.RecordBatch], int]:
    kept: list[pa.RecordBatch] = []
    count = 0
    for batch in reader:
        room = batch.num_rows if limit is None else max(limit - count, 0)
        if room:
            kept.append(batch.slice(0, room))
        count += batch.num_rows
    return kept, count


def _names(schema: pa.Schema) -> list[str]:
    """Column names, each once: `uri` and `uri` are `uri` and `uri_2`."""
    names: list[str] = []
    for name in schema.names:
        number, unique = 2, name
        while unique in names:
            number, unique = number + 1, f"{name}_{number}"
        names.append(unique)
    return names


def _rows(schema: pa.Schema, batches: Sequence[pa.RecordBatch]) -> list[dict[str, Any]]:
    names = _names(schema)
    columns = [
        [_plain(field, value) for batch in batches for value in batch.column(at).to_pylist()]
        for at, field in enumerate(schema)
    ]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _plain(field: pa.Field, value: Any) -> Any:
    """A value as JSON has it: maps as objects, bytes as base64, times in ISO 8601, segment ids as text."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, int) and field.name.endswith("segment_id"):
        return str(value)
    if pa.types.is_map(field.type) and value is not None:
        return {str(key): _plain(field.type.item_field, item) for key, item in value}
    if isinstance(value, Mapping):
        return {key: _plain(pa.field(key, pa.null()), item) for key, item in value.items()}
    if isinstance(value, list):
        inner = getattr(field.type, "value_field", pa.field("", pa.null()))
        return [_plain(inner, item) for item in value]
    return value
