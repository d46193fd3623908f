"""Rows of hidden_states in one codec -> the same rows in a coarser one, without encoding anything again."""

from typing import cast

import pyarrow as pa

from smart_jobs import codec, schema
from smart_jobs.records import Codec, JobError


def transcode(rows: pa.Table, to: Codec) -> pa.Table:
    """`rows` in hidden_states' schema, of any codecs, with their states as `to`; those that are so already stay.

    What a coarser codec makes of decoded states is what it makes of the model's, up to the first one's error. Raises
    JobError where a row is stored more coarsely than `to`: what is lost cannot be had back.
    """
    stored = rows["codec"].to_pylist()
    for kind in sorted(set(stored)):
        if kind not in codec.CODECS or codec.CODECS.index(kind) > codec.CODECS.index(to):
            order = " > ".join(codec.CODECS)
            raise JobError(f"codec={to}: states are stored as {kind}; expected a coarser codec than that of {order}")
    blobs = [
        data if kind == to else codec.encode(codec.decode(data, n, dim, cast("Codec", kind)), to)
        for data, n, dim, kind in zip(
            rows["states"].to_pylist(), rows["n_tokens"].to_pylist(), rows["dim"].to_pylist(), stored, strict=True
        )
    ]
    columns = {"codec": pa.array([to] * len(blobs), pa.string()), "states": pa.array(blobs, pa.binary())}
    names = schema.HIDDEN_STATES.columns.names
    return pa.table([columns[name] if name in columns else rows[name] for name in names], schema.HIDDEN_STATES.columns)
