"""States of one codec as those of a coarser one: what encoding them anew would store, and never a finer one."""

import itertools

import numpy as np
import pyarrow as pa
import pytest
from lake_making import state_rows

from smart_jobs import codec, schema
from smart_jobs.records import JobError
from smart_jobs.upkeep.transcode import transcode

DIM = 7
DOWN = [(fine, coarse) for fine, coarse in itertools.product(codec.CODECS, repeat=2)
        if codec.CODECS.index(fine) <= codec.CODECS.index(coarse)]  # fmt: skip
UP = [pair for pair in itertools.product(codec.CODECS, repeat=2) if pair not in DOWN]


def states(count=5):
    random = np.random.default_rng(3)
    return [random.normal(size=(n, DIM)).astype(np.float32) for n in range(1, count + 1)]


def rows_in(kinds):
    stored = list(zip(states(len(kinds)), kinds, strict=True))
    return state_rows(
        pa.array(range(len(kinds)), pa.int64()),
        pa.array([len(values) for values, _ in stored], pa.int32()),
        pa.array([DIM] * len(kinds), pa.int32()),
        pa.array(kinds, pa.string()),
        pa.array([codec.encode(values, kind) for values, kind in stored], pa.binary()),
    )


def values_of(row):
    return codec.decode(row["states"], row["n_tokens"], row["dim"], row["codec"])


@pytest.mark.parametrize(("fine", "coarse"), DOWN)
def test_downwards_is_the_coarser_codec_of_what_was_stored(fine, coarse):
    before, after = rows_in([fine] * 5), transcode(rows_in([fine] * 5), coarse)
    assert after.schema == schema.HIDDEN_STATES.columns
    assert after.drop_columns(["codec", "states"]) == before.drop_columns(["codec", "states"])
    for old, new in zip(before.to_pylist(), after.to_pylist(), strict=True):
        assert new["codec"] == coarse
        wanted = old["states"] if fine == coarse else codec.encode(values_of(old), coarse)
        assert new["states"] == wanted
        assert len(new["states"]) == codec.size(new["n_tokens"], DIM, coarse)


@pytest.mark.parametrize("coarse", ["int8", "int4", "binary"])
def test_from_float32_it_is_bit_for_bit_what_encoding_anew_stores(coarse):
    after = transcode(rows_in(["float32"] * 5), coarse)
    assert after["states"].to_pylist() == [codec.encode(values, coarse) for values in states()]


@pytest.mark.parametrize(("coarse", "fine"), UP)
def test_upwards_is_refused_in_one_line_that_names_both(coarse, fine):
    with pytest.raises(JobError) as said:
        transcode(rows_in([coarse]), fine)
    assert str(said.value).startswith(f"codec={fine}: states are stored as {coarse};")
    assert "\n" not in str(said.value)


def test_rows_of_several_codecs_end_in_one_and_one_too_coarse_stops_it():
    mixed = rows_in(["float32", "int8", "bf16", "int8"])
    assert transcode(mixed, "int8")["codec"].to_pylist() == ["int8"] * 4
    assert transcode(mixed, "int8")["states"][1] == mixed["states"][1]
    with pytest.raises(JobError, match="codec=bf16: states are stored as int8"):
        transcode(mixed, "bf16")


def test_no_rows_are_no_rows():
    empty = schema.HIDDEN_STATES.columns.empty_table()
    assert transcode(empty, "binary") == empty
