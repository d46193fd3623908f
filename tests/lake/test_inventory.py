"""What is in a lake, file by file, and vectors read from the files that have them."""

import numpy as np
import pytest
from lake_making import Doc, Run, embed, make_committer, make_segment, make_tables, promised

from smart_jobs.lake import inventory, layout


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    made = make_tables(tmp_path_factory.mktemp("lake"))
    for round_, docs in enumerate(([Doc("a", "v1", "gg"), Doc("b", "v1", "gbg")], [Doc("c", "v1", "g")]), start=1):
        Run(unit=1).ingest(made, docs, round_)
    return made


def test_every_row_is_there_with_the_file_it_lies_in(tables):
    have = inventory.read(layout.snapshot(tables), ["uri"])
    rows = have.rows.to_pylist()
    wanted = promised([Doc("a", "v1", "gg"), Doc("b", "v1", "gbg"), Doc("c", "v1", "g")])
    assert sorted((row["uri"], row["ordinal"]) for row in rows) == sorted((uri, n) for uri, _, n in wanted)
    assert len(have.files) > 2
    for row in rows:
        ids, _ = inventory.matrices.read(have.snapshot.pooled, [have.files[row[inventory.FILE]]], 4)
        assert row["segment_id"] in ids
        of = {"a": 2, "b": 3, "c": 1}[row["uri"]]
        states = embed(make_segment(row["uri"], "v1", row["ordinal"], of)).states
        assert row["n_tokens"] == len(states)


def test_vectors_come_in_the_order_asked_for_however_often(tables):
    have = inventory.read(layout.snapshot(tables))
    located = have.located(np.array([3, 0, 3, 1]))
    found = inventory.vectors(located.snapshot, located.ids, located.named())
    by_id = {segment.segment_id: embed(segment).pooled for segment in
             (make_segment(uri, "v1", n, 3) for uri in "abc" for n in range(3))}  # fmt: skip
    np.testing.assert_array_equal(found, [by_id[key] for key in located.ids.tolist()])
    assert set(located.named()) == {have.files[number] for number in located.file}


def test_an_empty_lake_has_none(tmp_path):
    tables = make_tables(tmp_path)
    make_committer(tables)
    have = inventory.read(layout.snapshot(tables))
    assert (have.rows.num_rows, have.files) == (0, ())
    assert have.located(np.empty(0, np.int64)).ids.shape == (0,)
