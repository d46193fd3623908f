"""The embeddings of one unit -> Parquet files of hidden states, their offsets beside them, and the receipt."""

import itertools
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from smart_jobs import codec, masks, schema, storage, wire
from smart_jobs.lake import pages
from smart_jobs.lake.layout import EncoderTables
from smart_jobs.lake.table import File, stats
from smart_jobs.records import AssetError, Codec, Embedding, Segment

EXCERPT = 1000
"""Characters of a segment's text that its pooled row keeps."""

OFFSETS = pa.schema(
    [
        ("segment_id", pa.int64()),
        ("offset", pa.int64()),
        ("length", pa.int64()),
        ("n_tokens", pa.int32()),
        *(schema.HIDDEN_STATES.columns.field(name) for name in schema.TOKENS),
    ]
)
"""Where each value of a states file lies, and what its tokens are; the schema's metadata names the file's codec."""

QUERY_CODEC: Codec = "float32"
"""Stored queries (an evaluation's) keep full precision, as a search's query has it."""

CHUNK = 1 << 30
"""Bytes of values after which a column goes on in another array: one holds less than 2 GiB."""

Result = Embedding | AssetError


@dataclass(frozen=True, slots=True)
class Copies:
    """Rows that the lake has under another URI, under new ids: of hidden_states as stored, of pooled and failures."""

    states: pa.Table = field(default_factory=schema.HIDDEN_STATES.columns.empty_table)
    pooled: pa.Table = field(default_factory=schema.POOLED.columns.empty_table)
    failures: pa.Table = field(default_factory=schema.FAILURES.columns.empty_table)


NO_COPIES = Copies()


def receipt(
    tables: EncoderTables,
    unit: pa.Table,
    segments: Sequence[Segment],
    results: Sequence[Result],
    run_id: str,
    copies: Copies = NO_COPIES,
) -> pa.Table:
    """Write the states of a unit and return the one-row receipt that names everything it produced.

    A file holds states of one codec: documents are stored by the tables' one, queries by `QUERY_CODEC`. It is complete,
    and its offsets written, before the receipt exists; neither is visible to a reader until the driver commits it. A
    crash before that leaves files that nothing refers to.
    """
    pairs = list(zip(segments, results, strict=True))
    good = [(segment, result) for segment, result in pairs if isinstance(result, Embedding)]
    bad = [(segment, result) for segment, result in pairs if isinstance(result, AssetError)]
    _check_shapes(good, tables.spec.dim)
    rows = {
        "pooled": [_pooled_row(tables.spec.pooled_kind, segment, embedding, run_id) for segment, embedding in good],
        "failures": [_failure_row(tables.spec.digest, segment, error, run_id) for segment, error in bad],
    }
    pooled = [_structs(rows["pooled"], schema.POOLED), _structs(copies.pooled, schema.POOLED)]
    decoded = unit["failures"].combine_chunks().flatten()
    failed = [decoded, _structs(rows["failures"], schema.FAILURES), _structs(copies.failures, schema.FAILURES)]
    states = pa.concat_tables([_states_rows(tables, good), copies.states])
    files = [{"path": file.path, "size": file.size, "rows": file.rows} for file in write_states(tables, states)]
    columns = {
        "unit": unit["unit"],
        "states": pa.array([files], wire.RECEIPT.field("states").type),
        "pooled": _one_list(pooled, wire.RECEIPT.field("pooled").type),
        "failures": _one_list(failed, wire.RECEIPT.field("failures").type),
        "assets": unit["assets"],
        "reused": [copies.pooled.num_rows],
        "seconds": pa.array([[]], wire.RECEIPT.field("seconds").type),
    }
    return pa.table(columns).cast(wire.RECEIPT)


def _check_shapes(good: Sequence[tuple[Segment, Embedding]], dim: int) -> None:
    for segment, embedding in good:
        pooled, states = embedding.pooled.shape, embedding.states.shape
        if pooled != (dim,) or states != (len(embedding.states), dim) or not states[0]:
            raise ValueError(f"segment {segment.segment_id}: expected pooled ({dim},) and states (n, {dim}), "
                             f"found {pooled} and {states}")  # fmt: skip


def _structs(rows: pa.Table | list[dict[str, Any]], kind: schema.Table) -> pa.Array:
    if isinstance(rows, list):
        return pa.array(rows, schema.row_type(kind.columns))
    return rows.combine_chunks().to_struct_array().combine_chunks().cast(schema.row_type(kind.columns))


def _one_list(parts: Sequence[pa.Array], kind: pa.DataType) -> pa.Array:
    values = pa.concat_arrays(list(parts))
    return pa.ListArray.from_arrays(pa.array([0, len(values)], pa.int32()), values).cast(kind)


def _states_rows(tables: EncoderTables, good: Sequence[tuple[Segment, Embedding]]) -> pa.Table:
    kinds = [QUERY_CODEC if segment.side == "query" else cast("Codec", tables.codec) for segment, _ in good]
    states = [embedding.states for _, embedding in good]
    column, parts = blobs(
        [codec.size(len(rows), rows.shape[1], kind) for rows, kind in zip(states, kinds, strict=True)]
    )
    for rows, kind, part in zip(states, kinds, parts, strict=True):
        part[:] = codec.encode(rows, kind)
    return pa.table(
        [
            pa.array([segment.segment_id for segment, _ in good], pa.int64()),
            pa.array([len(rows) for rows in states], pa.int32()),
            pa.array([rows.shape[1] for rows in states], pa.int32()),
            pa.array(kinds, pa.string()),
            column,
            *_tokens([embedding for _, embedding in good]),
        ],
        schema=schema.HIDDEN_STATES.columns,
    )


def _tokens(embeddings: Sequence[Embedding]) -> list[pa.Array]:
    """The columns `schema.TOKENS` of these."""
    values = {
        "token_kinds": [None if item.kinds is None else masks.runs(item.kinds) for item in embeddings],
        "grids": [list(itertools.chain(*item.grids)) or None for item in embeddings],
        "frame_times": [list(item.times) or None for item in embeddings],
    }
    return [pa.array(values[name], schema.HIDDEN_STATES.columns.field(name).type) for name in schema.TOKENS]


def blobs(lengths: Sequence[int] | np.ndarray) -> tuple[pa.ChunkedArray, list[memoryview]]:
    """A binary column of values of these lengths in bytes, and the memory of each, for the caller to fill."""
    ends = np.cumsum(lengths, dtype=np.int64)
    chunks, parts = [], []
    for first, last in itertools.pairwise([0, *(np.flatnonzero(np.diff(ends // CHUNK)) + 1).tolist(), len(ends)]):
        bounds = np.concatenate([[0], ends[first:last]]) - (ends[first - 1] if first else 0)
        bounds[0] = 0
        memory = np.empty(bounds[-1], np.uint8)
        buffers = [None, pa.py_buffer(bounds.astype(np.int32)), pa.py_buffer(memory)]
        chunks.append(pa.Array.from_buffers(pa.binary(), last - first, buffers))
        parts += [memory.data[start:end] for start, end in itertools.pairwise(bounds.tolist())]
    return pa.chunked_array(chunks, pa.binary()), parts


def write_states(tables: EncoderTables, rows: pa.Table) -> list[File]:
    """Write rows of hidden_states, a file with its offsets for each codec among them; not committed yet.

    Little more is held than the rows. A crash leaves files that nothing refers to.
    """
    kinds = sorted(rows["codec"].unique().to_pylist())
    if len(kinds) == 1:
        return [_write_file(tables, rows)]
    return [_write_file(tables, rows.filter(pc.equal(rows["codec"], kind))) for kind in kinds]


def _write_file(tables: EncoderTables, rows: pa.Table) -> File:
    name = f"{uuid.uuid4().hex}.parquet"
    root = tables.table_uri(schema.HIDDEN_STATES)
    with storage.open_output(storage.join(root, name)) as output:
        write_rows(rows, output.sink)
        with output.reopened() as data:
            size = data.size()
            storage.write_bytes(offsets_uri(root, name), offsets_file(rows, data))
    return File(name, size, rows.num_rows, stats(rows.num_rows))


def write_rows(rows: pa.Table, sink: pa.NativeFile) -> None:
    """The one layout of hidden_states' data files: a page for every value, PLAIN, uncompressed, no dictionary.

    A page at a time goes to `sink`, so that little more than the largest value is held beside the rows.
    """
    pq.write_table(
        rows,
        sink,
        compression="none",
        use_dictionary=False,
        write_statistics=["segment_id"],
        write_batch_size=1,
        data_page_size=1,
        data_page_version="1.0",
        store_schema=False,
    )


def states_file(rows: pa.Table) -> pa.Buffer:
    """A states file in memory."""
    sink = pa.BufferOutputStream()
    write_rows(rows, sink)
    return sink.getvalue()


def offsets_uri(table_uri: str, name: str) -> str:
    """Where the offsets of a states file lie: `_offsets/` is left alone by vacuum."""
    return storage.join(table_uri, "_offsets", name.removesuffix(".parquet") + ".arrow")


def offsets_file(rows: pa.Table, data: pa.Buffer | pa.NativeFile) -> bytes:
    """The offsets of `rows`, of one codec, in their file `data`: an Arrow IPC file in the schema `OFFSETS`."""
    [kind] = rows["codec"].unique().to_pylist()
    kept = OFFSETS.with_metadata({"codec": kind})
    ranges = pages.value_ranges(data, "states")
    table = pa.table(
        [
            rows["segment_id"],
            pa.array([offset for offset, _ in ranges], pa.int64()),
            pa.array([length for _, length in ranges], pa.int64()),
            rows["n_tokens"],
            *(rows[name] for name in schema.TOKENS),
        ],
        schema=kept,
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, kept) as writer:
        writer.write_table(table)
    return cast("bytes", sink.getvalue().to_pybytes())


def _pooled_row(kind: str, segment: Segment, embedding: Embedding, run_id: str) -> dict[str, Any]:
    return {
        "segment_id": segment.segment_id,
        "asset_id": segment.asset_id,
        "uri": segment.uri,
        "source": segment.source,
        "version": segment.version,
        "media": segment.media,
        "ordinal": segment.ordinal,
        "of": segment.of,
        "page": segment.page,
        "start": segment.start,
        "end": segment.end,
        "title": segment.title,
        "text": segment.text[:EXCERPT],
        "n_tokens": len(embedding.states),
        "pooled": embedding.pooled,
        "pooled_kind": kind,
        "meta": list(segment.meta.items()),
        "run_id": run_id,
        "encoded_at": datetime.now(UTC),
    }


def _failure_row(spec: str, segment: Segment, error: AssetError, run_id: str) -> dict[str, Any]:
    return {
        "spec": spec,
        "asset_id": segment.asset_id,
        "uri": segment.uri,
        "source": segment.source,
        "version": segment.version,
        "ordinal": segment.ordinal,
        "of": segment.of,
        "step": error.step,
        "reason": error.reason,
        "detail": error.detail,
        "attempts": 1,
        "run_id": run_id,
        "at": datetime.now(UTC),
    }
