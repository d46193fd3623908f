"""Rows that wait are in files that a commit names: nothing of them is lost, and what is taken is gone."""

import pyarrow as pa
from lake_making import make_receipt, make_segment, make_tables

from smart_jobs import schema, storage
from smart_jobs.lake import waiting
from smart_jobs.lake.waiting import Waiting


def rows(tables, uri, version, *ordinals, of=3):
    receipt = make_receipt(tables, [make_segment(uri, version, i, of) for i in ordinals])
    return pa.Table.from_pylist(receipt["pooled"][0].as_py(), schema=schema.POOLED.columns)


def files(tables):
    folder = storage.join(tables.uri, "_pending", "waiting")
    return {uri.rpartition("/")[2] for uri, _ in storage.list_files(folder)}


def test_each_commit_writes_only_what_is_new(tmp_path):
    tables = make_tables(tmp_path)
    held = Waiting(tables)
    assert held.save(1) == ()
    held.add(rows(tables, "a", "v2", 0))
    first = held.save(2)
    held.add(rows(tables, "a", "v2", 1))
    second = held.save(3)
    assert second[:1] == first
    assert len(second) == 2
    assert held.save(4) == second
    assert Waiting(tables, second).rows.equals(held.rows)
    assert files(tables) == set(second)


def test_what_is_taken_takes_other_versions_of_the_asset_along(tmp_path):
    tables = make_tables(tmp_path)
    held = Waiting(tables)
    for part in (rows(tables, "a", "v2", 0, 1), rows(tables, "a", "v3", 0, 1, 2), rows(tables, "b", "v2", 0)):
        held.add(part)
    names = held.save(1)
    key = make_segment("a", "v3", 0, 3).asset_id
    taken = held.take({key: "v3"})
    assert taken["version"].to_pylist() == ["v3"] * 3
    assert held.rows["uri"].to_pylist() == ["b"]
    left = held.save(2)
    assert Waiting(tables, left).rows["uri"].to_pylist() == ["b"]
    assert not set(left) & set(names)
    waiting.sweep(tables, left)
    assert files(tables) == set(left)


def test_nothing_ready_takes_nothing(tmp_path):
    tables = make_tables(tmp_path)
    held = Waiting(tables)
    held.add(rows(tables, "a", "v2", 0))
    assert held.take({}).num_rows == 0
    assert held.rows.num_rows == 1


def test_rows_wait_where_the_asset_is_there_in_another_version(tmp_path):
    tables = make_tables(tmp_path)
    both = pa.concat_tables([rows(tables, "a", "v2", 0), rows(tables, "b", "v2", 0)])
    key = {uri: make_segment(uri, "v", 0, 1).asset_id for uri in "ab"}
    stored = {key["a"]: frozenset({"v1", "v2"}), key["b"]: frozenset({"v2"})}
    shown, held = waiting.split(both, stored)
    assert (shown["uri"].to_pylist(), held["uri"].to_pylist()) == (["b"], ["a"])
    assert waiting.versions_that_wait(rows(tables, "a", "v2", 0, 2)) == {(key["a"], "v2"): (frozenset({0, 2}), 3)}
