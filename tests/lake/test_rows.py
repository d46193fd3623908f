"""The rows of given segments: a scan and a copy give the same, and that is what was written."""

import shutil
import tempfile
from collections import namedtuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keeping import ingest, make_lake
from lake_making import Doc, make_tables, rows_of

from smart_jobs import schema
from smart_jobs.lake import layout, rows
from smart_jobs.records import JobError

COLUMNS = ["segment_id", "asset_id", "uri", "page", "start", "end"]


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    """A table of several files, in the order of no id."""
    docs = [[Doc(f"d{n}", "v1", "ggg"), Doc(f"e{n}", "v1", "g")] for n in range(3)]
    tables = make_lake(tmp_path_factory.mktemp("rows"), *docs)
    return tables, {row["segment_id"]: row for row in rows_of(tables, schema.POOLED)}


@pytest.fixture(scope="module")
def readers(lake):
    snapshot = layout.snapshot(lake[0])
    return [rows.Scanned(snapshot), rows.Copied(snapshot)]


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_a_scan_and_a_copy_give_what_was_written(lake, readers, data):
    written = lake[1]
    chosen = data.draw(st.sets(st.sampled_from(sorted(written))))
    ids = np.array(sorted(chosen), np.int64)
    for reader in readers:
        found = reader.read(ids, COLUMNS)
        assert found.to_pylist() == [{name: written[i][name] for name in COLUMNS} for i in ids.tolist()]
        vectors = reader.vectors(ids)
        assert (vectors.shape, vectors.dtype) == ((len(ids), 4), np.float32)
        assert vectors.tolist() == [written[i]["pooled"] for i in ids.tolist()]


def test_the_columns_of_a_scan_and_a_copy_are_of_the_same_types(lake, readers):
    ids = np.array(sorted(lake[1])[:2], np.int64)
    scanned, copied = (reader.read(ids, ["uri", "page", "end"]).schema for reader in readers)
    assert copied.types == scanned.types


def test_a_copy_is_cut_into_pieces_and_leaves_no_file(tmp_path, lake, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(rows, "AT_ONCE", 20)
    copied = rows.Copied(layout.snapshot(lake[0]))
    assert list(tmp_path.iterdir()) == []
    ids = np.array(sorted(lake[1]), np.int64)
    assert copied.vectors(ids).tolist() == [lake[1][i]["pooled"] for i in ids.tolist()]


def test_a_copy_that_does_not_fit_is_refused_with_what_to_do(tmp_path, monkeypatch):
    tables = make_lake(tmp_path, [Doc("a", "v1", "ggg")])
    monkeypatch.setattr(shutil, "disk_usage", lambda _: namedtuple("Usage", "free")(47))
    with pytest.raises(JobError, match=r"48 bytes, and 47 are free; set TMPDIR to a larger disk, or take fewer"):
        rows.Copied(layout.snapshot(tables))


def test_a_state_is_opened_again_by_its_pins_and_no_other(tmp_path):
    tables = make_lake(tmp_path / "one", [Doc("a", "v1", "gg")])
    pins = layout.snapshot(tables).versions()
    before = layout.snapshot(tables)
    ingest(tables, [Doc("b", "v1", "g")])
    again = layout.reopened(tables, pins)
    assert again.versions() == before.versions() == pins
    assert (again.pooled.count(), layout.snapshot(tables).pooled.count()) == (2, 3)
    other = make_tables(tmp_path / "two")
    with pytest.raises(JobError, match="the tables were made anew since"):
        layout.reopened(other, {name: {**pin, "version": 0} for name, pin in pins.items()})
    with pytest.raises(JobError, match=r"versions \[99, \d+\] cannot be read any more: "):
        layout.reopened(tables, {**pins, "pooled": {**pins["pooled"], "version": 99}})
