"""What came and went between two versions, against both of them read whole."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keeping import data_files, ingest, make_lake, replace_file
from lake_making import Doc, make_tables, rows_of

from smart_jobs import schema
from smart_jobs.flow import maintaining
from smart_jobs.index import difference
from smart_jobs.index.manifest import Pin
from smart_jobs.keys import Lake
from smart_jobs.lake import layout, table
from smart_jobs.settings import Maintain


def pin_of(tables):
    return Pin.model_validate(layout.snapshot(tables).versions()["pooled"])


def since(tables, pin):
    return difference.since(pin, layout.snapshot(tables).pooled)


def keys(tables, version=None):
    return {(row["segment_id"], row["encoded_at"]) for row in rows_of(tables, schema.POOLED, version)}


def compact(tables):
    maintaining.run(Maintain(lake=Lake(uri=tables.lake.uri), retention_hours=100))


ROUND = st.one_of(
    st.just("compact"),
    st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["v1", "v2"]), st.integers(1, 4)), min_size=1,
             max_size=3, unique_by=lambda item: item[0]),
)  # fmt: skip


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rounds=st.lists(ROUND, min_size=1, max_size=4))
def test_the_difference_is_that_of_the_rows_whatever_was_rewritten_between(tmp_path_factory, rounds):
    tables = make_lake(tmp_path_factory.mktemp("lake"), [Doc("a", "v1", "ggg"), Doc("z", "v1", "gg")])
    pins = [pin_of(tables)]
    for items in rounds:
        if items == "compact":
            compact(tables)
        else:
            ingest(tables, [Doc(uri, version, "g" * count) for uri, version, count in items])
        pins.append(pin_of(tables))
    now = keys(tables)
    for pin in pins:
        found, then = since(tables, pin), keys(tables, pin.version)
        assert found.added.tolist() == sorted(name for name, _ in now - then)
        assert found.removed.tolist() == sorted(name for name, _ in then - now)
        assert found.nothing == (now == then)


def test_compaction_makes_no_difference_and_only_changed_files_are_read(tmp_path):
    tables = make_lake(tmp_path, *([Doc(name, "v1", "gg")] for name in "abcdef"))
    pin = pin_of(tables)
    compact(tables)
    assert pin_of(tables).version > pin.version
    assert since(tables, pin).nothing
    pin = pin_of(tables)
    kept = data_files(tables, schema.POOLED)
    ingest(tables, [Doc("g", "v1", "g")])
    for path in kept:
        Path(path).rename(f"{path}.hidden")
    assert len(since(tables, pin).added) == 1


def test_a_segment_that_was_encoded_again_under_its_id_left_and_came(tmp_path):
    tables = make_lake(tmp_path, [Doc("a", "v1", "gg")])
    pin = pin_of(tables)
    [path] = data_files(tables, schema.POOLED)
    rows = pq.read_table(path).cast(schema.POOLED.columns).to_pylist()
    again = {**rows[1], "encoded_at": rows[1]["encoded_at"].replace(year=2030)}
    content = pa.Table.from_pylist([rows[0], again], schema=schema.POOLED.columns)
    replace_file(tables, schema.POOLED, path, content)
    found = since(tables, pin)
    assert (found.added.tolist(), found.removed.tolist()) == ([rows[1]["segment_id"]], [rows[1]["segment_id"]])


def test_what_cannot_be_told(tmp_path):
    tables = make_lake(tmp_path / "one", [Doc("a", "v1", "gg")])
    pin, gone = pin_of(tables), data_files(tables, schema.POOLED)
    other = make_tables(tmp_path / "two")
    assert since(other, pin) is None, "another table under the same name"
    assert since(tables, pin.model_copy(update={"version": 99})) is None
    ingest(tables, [Doc("a", "v2", "g")])
    assert len(since(tables, pin).removed) == 2
    for path in gone:
        Path(path).unlink()
    assert since(tables, pin) is None


def test_nothing_but_the_log_is_asked_where_the_version_is_the_same(tmp_path):
    tables = make_lake(tmp_path, [Doc("a", "v1", "gg")])
    for path in data_files(tables, schema.POOLED):
        Path(path).unlink()
    found = since(tables, pin_of(tables))
    assert found.nothing
    assert found.added.dtype == found.removed.dtype == np.int64
    assert table.open_table(tables.table_uri(schema.POOLED)).version() == pin_of(tables).version


@pytest.mark.parametrize("name", ["b", "c"])
def test_a_document_that_left_and_came_back_made_no_difference(tmp_path, name):
    tables = make_lake(tmp_path, [Doc("a", "v1", "g"), Doc(name, "v1", "gg")])
    pin = pin_of(tables)
    ingest(tables, [Doc(name, "v2", "g")])
    ingest(tables, [Doc(name, "v1", "gg")])
    found = since(tables, pin)
    assert len(found.added) == len(found.removed)
    assert set(found.added) == set(found.removed)
