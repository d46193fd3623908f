"""Where the values of a binary column lie: exactly, for our layout; an error, for any other."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lake_making import state_rows

from smart_jobs.lake import pages, writer

OURS = {
    "compression": "none",
    "use_dictionary": False,
    "write_statistics": ["segment_id"],
    "write_batch_size": 1,
    "data_page_size": 1,
    "data_page_version": "1.0",
    "store_schema": False,
}


def rows_with(blobs):
    n = len(blobs)
    return state_rows(np.arange(n), np.ones(n, np.int32), np.ones(n, np.int32), ["int8"] * n, blobs)


def written(blobs, **options):
    sink = pa.BufferOutputStream()
    pq.write_table(rows_with(blobs), sink, **options)
    return sink.getvalue()


def values(data):
    return [bytes(data[at : at + length]) for at, length in pages.value_ranges(data, "states")]


def blobs_of(lengths, seed):
    random = np.random.default_rng(seed)
    return [random.bytes(length) for length in lengths]


LENGTHS = st.lists(st.integers(1, 300) | st.sampled_from([1, 63, 64, 127, 128, 8191, 8192, 200_000]), min_size=1)
SEEDS = st.integers(0, 2**32)


@settings(max_examples=60, deadline=None)
@given(LENGTHS, SEEDS)
def test_every_value_lies_where_it_is_said_to(lengths, seed):
    blobs = blobs_of(lengths, seed)
    assert values(writer.states_file(rows_with(blobs))) == blobs


def test_values_of_many_rows_and_of_nothing():
    blobs = blobs_of([(i * 37) % 2_000 for i in range(1, 301)], 0)
    assert values(writer.states_file(rows_with(blobs))) == blobs
    assert values(writer.states_file(rows_with([]))) == []


def test_values_that_look_like_pages():
    inner = bytes(writer.states_file(rows_with([b"x" * 50])))
    blobs = [inner, b"\0" * 100, b"\x15\x00" * 20, inner * 3, b"PAR1"]
    assert values(writer.states_file(rows_with(blobs))) == blobs


@settings(max_examples=20, deadline=None)
@given(LENGTHS, SEEDS, st.integers(1, 5))
def test_values_of_several_row_groups(lengths, seed, group):
    blobs = blobs_of(lengths, seed)
    data = written(blobs, **OURS, row_group_size=group)
    assert pq.ParquetFile(pa.BufferReader(data)).metadata.num_row_groups == -(-len(blobs) // group)
    assert values(data) == blobs


OTHERS = {
    "dictionary": {"use_dictionary": True},
    "snappy": {"compression": "snappy"},
    "zstd": {"compression": "zstd"},
    "several values a page": {"write_batch_size": 1024, "data_page_size": 1 << 20},
    "delta lengths": {"column_encoding": {"states": "DELTA_LENGTH_BYTE_ARRAY"}},
    "statistics in the pages": {"write_statistics": True},
    "everything by default": dict.fromkeys(OURS),
}
REFUSED = "column states: |page header: "


def written_as(blobs, layout):
    options = {name: value for name, value in (OURS | OTHERS[layout]).items() if value is not None}
    return written(blobs, **options)


@pytest.mark.parametrize("layout", OTHERS)
@settings(max_examples=20, deadline=None)
@given(lengths=st.lists(st.integers(1, 200), min_size=2, max_size=30), seed=SEEDS, same=st.booleans())
def test_another_layout_is_an_error_and_never_a_wrong_range(layout, lengths, seed, same):
    blobs = blobs_of(lengths, seed)
    data = written_as([blobs[0]] * len(blobs) if same else blobs, layout)
    with pytest.raises(ValueError, match=REFUSED):
        pages.value_ranges(data, "states")


@pytest.mark.parametrize("layout", sorted(set(OTHERS) - {"several values a page"}))
@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 60, 100, 5000])
def test_another_layout_of_one_value_is_an_error_too(layout, length):
    for blob in (b"\0" * length, b"\x01" * length, bytes(range(256)) * (length // 256 + 1)):
        data = written_as([blob[:length]], layout)
        with pytest.raises(ValueError, match=REFUSED):
            pages.value_ranges(data, "states")


def test_a_nullable_column_is_an_error():
    sink = pa.BufferOutputStream()
    options = OURS | {"write_statistics": False}
    pq.write_table(pa.table({"states": pa.array([b"abc", None, b"de"])}), sink, **options)
    with pytest.raises(ValueError, match=REFUSED):
        pages.value_ranges(sink.getvalue(), "states")
