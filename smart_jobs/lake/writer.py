"""The embeddings of one unit -> a Parquet file of hidden states, its offsets beside it, and the receipt."""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from smart_jobs import codec, schema, storage
from smart_jobs.lake import pages
from smart_jobs.lake.table import EncoderTables
from smart_jobs.records import AssetError, Embedding, Segment

EXCERPT = 1000
"""Characters of a segment's text that its pooled row keeps."""

OFFSETS = pa.schema(
    [("segment_id", pa.int64()), ("offset", pa.int64()), ("length", pa.int64()), ("n_tokens", pa.int32())]
)

Result = Embedding | AssetError


def receipt(
    tables: EncoderTables, unit: pa.Table, segments: Sequence[Segment], results: Sequence[Result], run_id: str
) -> pa.Table:
    """Write the states of a unit and return the one-row receipt that names everything it produced.

    The states file is complete, and its offsets written, before the receipt exists; neither is visible to a reader
    until the driver commits it. A crash before that leaves files that nothing refers to.
    """
    good = [
        (segment, result) for segment, result in zip(segments, results, strict=True) if isinstance(result, Embedding)
    ]
    bad = [
        (segment, result) for segment, result in zip(segments, results, strict=True) if isinstance(result, AssetError)
    ]
    _check_shapes(good, tables.spec.dim)
    row = {
        "unit": unit["unit"][0].as_py(),
        "states": [_write_states(tables, good)] if good else [],
        "pooled": [_pooled_row(segment, embedding, run_id) for segment, embedding in good],
        "failures": [_failure_row(tables.spec.digest, segment, error, run_id) for segment, error in bad],
        "assets": [],
        "seconds": [],
    }
    table = pa.Table.from_pylist([row], schema=schema.RECEIPT)
    failures = pa.concat_arrays(
        [unit["failures"].combine_chunks().flatten(), table["failures"].combine_chunks().flatten()]
    )
    merged = table.set_column(3, "failures", _one_list(failures, schema.RECEIPT.field("failures").type))
    return merged.set_column(4, "assets", unit["assets"]).cast(schema.RECEIPT)


def _check_shapes(good: Sequence[tuple[Segment, Embedding]], dim: int) -> None:
    for segment, embedding in good:
        pooled, states = embedding.pooled.shape, embedding.states.shape
        if pooled != (dim,) or states != (len(embedding.states), dim) or not states[0]:
            raise ValueError(f"segment {segment.segment_id}: expected pooled ({dim},) and states (n, {dim}), "
                             f"found {pooled} and {states}")  # fmt: skip


def _one_list(values: pa.Array, kind: pa.DataType) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array([0, len(values)], pa.int32()), values).cast(kind)


def _write_states(tables: EncoderTables, good: Sequence[tuple[Segment, Embedding]]) -> dict[str, Any]:
    kind = cast("codec.Codec", tables.codec)
    blobs = [codec.encode(embedding.states, kind) for _, embedding in good]
    rows = pa.table(
        [
            pa.array([segment.segment_id for segment, _ in good], pa.int64()),
            pa.array([len(embedding.states) for _, embedding in good], pa.int32()),
            pa.array([embedding.states.shape[1] for _, embedding in good], pa.int32()),
            pa.array([tables.codec] * len(good), pa.string()),
            pa.array(blobs, pa.binary()),
        ],
        schema=schema.HIDDEN_STATES.columns,
    )
    data = states_file(rows)
    name = f"{uuid.uuid4().hex}.parquet"
    root = tables.table_uri(schema.HIDDEN_STATES)
    storage.write_bytes(offsets_uri(root, name), offsets_file(rows, data))
    storage.write_bytes(storage.join(root, name), data.to_pybytes())
    return {"path": name, "size": data.size, "rows": rows.num_rows}


def states_file(rows: pa.Table) -> pa.Buffer:
    """The one layout of hidden_states' data files: a page for every value, PLAIN, uncompressed, no dictionary."""
    sink = pa.BufferOutputStream()
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
    return sink.getvalue()


def offsets_uri(table_uri: str, name: str) -> str:
    """Where the offsets of a states file lie: `_offsets/` is left alone by vacuum."""
    return storage.join(table_uri, "_offsets", name.removesuffix(".parquet") + ".arrow")


def offsets_file(rows: pa.Table, data: pa.Buffer) -> bytes:
    """The offsets of `rows` in their states file `data`: an Arrow IPC file in the schema `OFFSETS`."""
    ranges = pages.value_ranges(data, "states")
    table = pa.table(
        [
            rows["segment_id"],
            pa.array([offset for offset, _ in ranges], pa.int64()),
            pa.array([length for _, length in ranges], pa.int64()),
            rows["n_tokens"],
        ],
        schema=OFFSETS,
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, OFFSETS) as writer:
        writer.write_table(table)
    return cast("bytes", sink.getvalue().to_pybytes())


def _pooled_row(segment: Segment, embedding: Embedding, run_id: str) -> dict[str, Any]:
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
        "title": segment.title,
        "text": segment.text[:EXCERPT],
        "n_tokens": len(embedding.states),
        "pooled": embedding.pooled,
        "pooled_kind": "model",
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
