"""Copied rows are those of the donor under the new asset's ids, names and meta; only whole content is a donor."""

import numpy as np
import pytest
from lake_making import Doc, Run, failure_row, make_tables, rows_of

from smart_jobs import schema
from smart_jobs.lake import copying, known, layout
from smart_jobs.lake.reader import StatesReader
from smart_jobs.records import Asset, JobError, Planned, asset_id, content_key, segment_id

DONOR = Doc("docs/a.txt", "v1", "gbg")


@pytest.fixture
def tables(tmp_path):
    tables = make_tables(tmp_path, codec="int8")
    Run().ingest(tables, [DONOR, Doc("docs/b.txt", "v2", "g")], 1)
    return tables


def order(uri, version, media="text", **more):
    return {"asset": {"uri": uri, "source": "new", "title": "T", "media": media, "meta": [("k", "x")], **more},
            "version": version}  # fmt: skip


def known_contents(tables, *uris):
    have = known.load(tables, schema.POOLED.columns.empty_table(), known.passing(()))
    return copying.contents(tables, have, [Planned(Asset(uri, "made", "s", "text", 1)) for uri in uris])


def test_a_copy_has_the_donors_vectors_and_its_own_names(tables):
    made = copying.copies(tables, [order("docs/c.txt", "v1"), order("docs/d.txt", "v2")], "run-9")
    donor = {row["ordinal"]: row for row in rows_of(tables, schema.POOLED) if row["uri"] == DONOR.uri}
    states = StatesReader(layout.snapshot(tables))
    assert made.pooled["uri"].to_pylist() == ["docs/c.txt"] * 2 + ["docs/d.txt"]
    for row in made.pooled.to_pylist()[:2]:
        old = donor[row["ordinal"]]
        new = {"segment_id": segment_id("docs/c.txt", "v1", row["ordinal"]), "asset_id": asset_id("docs/c.txt"),
               "uri": "docs/c.txt", "source": "new", "title": "T", "meta": [("k", "x")], "run_id": "run-9"}  # fmt: skip
        assert row == old | new
        [blob] = [s["states"] for s in made.states.to_pylist() if s["segment_id"] == row["segment_id"]]
        assert blob == states.stored(np.array([old["segment_id"]]))["states"][0].as_py()
    assert made.states["segment_id"].to_pylist() == made.pooled["segment_id"].to_pylist()
    [failed] = made.failures.to_pylist()
    assert (failed["asset_id"], failed["uri"], failed["ordinal"], failed["reason"]) == (
        asset_id("docs/c.txt"), "docs/c.txt", 1, "not_finite")  # fmt: skip


def test_contents_are_asked_for_only_where_a_name_is_new(tables):
    assert len(known_contents(tables, "docs/a.txt", "docs/b.txt")) == 0
    assert set(known_contents(tables, "new.txt").tolist()) == {
        content_key("v1", "text", "docs/a.txt"), content_key("v2", "text", "docs/b.txt")}  # fmt: skip


def test_a_version_that_is_not_whole_is_no_donor(tables):
    Run().ingest(tables, [Doc("docs/e.txt", "v3!0", "gg")], 2)
    assert len(known_contents(tables, "new.txt")) == 2
    row = failure_row(DONOR.asset.id, "v9", spec=tables.spec.digest, ordinal=0, of=1)
    layout.append(tables.lake, schema.FAILURES, [row], "test")
    with pytest.raises(JobError, match=r"new\.txt: what the lake had of its content is gone"):
        copying.copies(tables, [order("new.txt", "v9")], "run-9")
    with pytest.raises(JobError, match="is gone"):
        copying.copies(tables, [order("new.md", "v1")], "run-9")


def test_no_orders_read_nothing(tables):
    made = copying.copies(tables, [], "run-9")
    assert (made.pooled.num_rows, made.states.num_rows, made.failures.num_rows) == (0, 0, 0)
