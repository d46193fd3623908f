"""The files that a unit's embeddings become: their layout, what writing them holds in memory, what a failure leaves."""

import itertools
import resource
import signal
import tracemalloc

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lake_making import make_tables, state_rows

from smart_jobs import schema, storage
from smart_jobs.lake import pages, writer

MIB = 1 << 20


def rows_of_lengths(lengths, kinds=("int8",)):
    column, parts = writer.blobs(lengths)
    random = np.random.default_rng(0)
    for part in parts:
        part[:] = random.bytes(len(part))
    n = len(lengths)
    named = pa.array([kinds[i % len(kinds)] for i in range(n)], pa.string())
    return state_rows(pa.array(range(n), pa.int64()), np.ones(n, np.int32), np.ones(n, np.int32), named, column)


@given(st.lists(st.integers(1, 40)), st.integers(1, 50))
def test_a_column_is_what_is_filled_in(lengths, chunk):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, "CHUNK", chunk)
        column, parts = writer.blobs(lengths)
    values = [bytes([i % 256]) * length for i, length in enumerate(lengths)]
    for part, value in zip(parts, values, strict=True):
        part[:] = value
    column.validate(full=True)
    assert column.to_pylist() == values
    assert all(sum(map(len, piece.to_pylist())) < chunk + max(lengths, default=0) + 1 for piece in column.chunks)


def test_columns_have_statistics_only_where_they_are_asked_for_and_nothing_is_packed():
    source = pa.BufferReader(writer.states_file(rows_of_lengths([1, 2, 3] * 400)))
    group = pq.ParquetFile(source).metadata.row_group(0)
    for column in map(group.column, range(group.num_columns)):
        assert column.is_stats_set == (column.path_in_schema == "segment_id")
        assert (column.compression, column.has_dictionary_page) == ("UNCOMPRESSED", False)
        assert (column.has_column_index, column.has_offset_index) == (False, False)
        assert column.bloom_filter_offset is None
    assert len(pages.value_ranges(source, "states")) == 1200


@given(st.lists(st.integers(1, 3), min_size=1, max_size=300))
def test_tiny_values_have_a_page_each_and_no_space_between_but_its_header(lengths):
    data = writer.states_file(rows_of_lengths(lengths))
    ranges = pages.value_ranges(data, "states")
    assert [length for _, length in ranges] == lengths
    gaps = [later - at - length for (at, length), (later, _) in itertools.pairwise(ranges)]
    assert all(gap < 32 for gap in gaps)


def peaks(work):
    """Bytes that Arrow held at most while `work` ran, and Python and numpy."""
    pool, before = pa.proxy_memory_pool(pa.default_memory_pool()), pa.default_memory_pool()
    pa.set_memory_pool(pool)
    tracemalloc.start()
    try:
        work()
        return pool.max_memory(), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        pa.set_memory_pool(before)


def test_writing_holds_a_few_values_beside_the_batch(tmp_path):
    tables = make_tables(tmp_path, "int8")
    rows = rows_of_lengths([MIB] * 64)
    found = []
    arrow, python = peaks(lambda: found.extend(writer.write_states(tables, rows)))
    assert (arrow < 8 * MIB, python < 8 * MIB) == (True, True)
    [file] = found
    assert file.size > 64 * MIB


def test_each_codec_has_a_file_of_its_own_with_the_values_where_its_offsets_say(tmp_path):
    tables = make_tables(tmp_path, "int8")
    root = tables.table_uri(schema.HIDDEN_STATES)
    rows = rows_of_lengths([5, 70_000, 1, 2_000_000, 3], ("int8", "float32"))
    files = writer.write_states(tables, rows)
    assert [file.rows for file in files] == [2, 3]
    wanted = {row["segment_id"]: row for row in rows.to_pylist()}
    for file, kind in zip(files, (b"float32", b"int8"), strict=True):
        data = storage.read_bytes(storage.join(root, file.path))
        offsets = pa.ipc.open_file(storage.read_bytes(writer.offsets_uri(root, file.path))).read_all()
        assert (len(data), offsets.schema.metadata[b"codec"]) == (file.size, kind)
        assert pq.read_table(pa.BufferReader(data)).num_rows == file.rows
        for row in offsets.to_pylist():
            assert data[row["offset"] : row["offset"] + row["length"]] == wanted.pop(row["segment_id"])["states"]
    assert not wanted


def test_a_disk_that_is_full_is_an_error_and_leaves_no_states(tmp_path):
    tables = make_tables(tmp_path, "int8")
    rows = rows_of_lengths([MIB] * 4)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 * MIB, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            writer.write_states(tables, rows)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert not any("_delta_log" not in uri for uri, _ in storage.list_files(tables.table_uri(schema.HIDDEN_STATES)))
