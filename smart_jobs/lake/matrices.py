"""The pooled vectors of a table: of given files, or of given segments, as matrices."""

from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable

from smart_jobs import storage
from smart_jobs.records import JobError


def matrix(column: pa.ChunkedArray, dim: int) -> np.ndarray:
    """A list column of vectors as (n, dim) float32. Raises JobError where one has another length."""
    values = column.combine_chunks()
    if len(values) and pc.any(pc.not_equal(pc.list_value_length(values), dim)).as_py():
        raise JobError(f"pooled: a vector that is not of {dim} dimensions; run `smart-jobs verify`")
    return np.asarray(values.flatten().to_numpy(zero_copy_only=False), np.float32).reshape(len(column), dim)


def columns(pooled: DeltaTable, files: Sequence[str], names: Sequence[str]) -> pa.Table:
    """These columns of some of the table's data files, in the order of the files. Raises OSError where one is gone."""
    root = storage.of_delta(pooled.table_uri)
    parts = []
    for file in files:
        with storage.open_input(storage.join(root, file)) as handle:
            parts.append(pq.ParquetFile(handle).read(columns=list(names)))
    return pa.concat_tables(parts, promote_options="permissive")


def read(
    pooled: DeltaTable, files: Sequence[str], dim: int, only: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Ids (n,) int64 and vectors (n, dim) float32 of some files, as they lie; `only` those, where it is given."""
    rows = columns(pooled, files, ["segment_id", "pooled"])
    if only is not None:
        rows = rows.filter(pc.is_in(rows["segment_id"], pa.array(only)))
    return rows["segment_id"].to_numpy(), matrix(rows["pooled"], dim)


def ids(pooled: DeltaTable, files: Sequence[str]) -> np.ndarray:
    """Ids (n,) int64 of some files, sorted."""
    return np.sort(columns(pooled, files, ["segment_id"])["segment_id"].to_numpy())


def groups(pooled: DeltaTable, dim: int, most: int) -> list[list[str]]:
    """All files of a snapshot by name, cut into groups of up to `most` bytes of vectors; a larger file stands alone."""
    found: list[list[str]] = []
    room = 0
    for file, rows in _sizes(pooled):
        size = 4 * dim * rows
        if not found or size > room:
            found.append([])
            room = most
        found[-1].append(file)
        room -= size
    return found


def _sizes(pooled: DeltaTable) -> Iterator[tuple[str, int]]:
    """The files of a snapshot with their rows, sorted by name."""
    actions = pa.table(cast("Any", pooled.get_add_actions(flatten=True)))
    yield from sorted(zip(actions["path"].to_pylist(), actions["num_records"].to_pylist(), strict=True))
