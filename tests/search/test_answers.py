"""Hits as rows, against the table that was searched."""

import numpy as np
import pytest
from keeping import make_lake
from lake_making import Doc, rows_of

from smart_jobs import schema
from smart_jobs.lake import layout
from smart_jobs.lake.rows import Copied, Scanned
from smart_jobs.records import Hits
from smart_jobs.search import answers


@pytest.mark.parametrize("rows", [Scanned, Copied])
def test_a_row_for_each_hit_query_by_query_and_best_first(tmp_path, rows):
    tables = make_lake(tmp_path, [Doc("a", "v1", "gg"), Doc("b", "v1", "g")])
    written = {row["segment_id"]: row for row in rows_of(tables, schema.POOLED)}
    one, two, three = sorted(written)
    ids = np.array([[three, one, -1], [-1, -1, -1], [two, three, one]])
    scores = np.where(ids < 0, -np.inf, np.arange(9).reshape(3, 3)).astype(np.float32)
    pooled = np.where(ids == two, np.nan, scores)
    found = answers.table(rows(layout.snapshot(tables)), ["x", "y", "z"], Hits(ids, scores, pooled, scores + 1))
    assert found.schema == schema.HITS.columns
    assert [(row["query"], row["rank"], row["segment_id"]) for row in found.to_pylist()] == [
        ("x", 1, three), ("x", 2, one), ("z", 1, two), ("z", 2, three), ("z", 3, one)
    ]  # fmt: skip
    for row in found.to_pylist():
        assert {name: row[name] for name in ("uri", "page", "start", "end")} == {
            name: written[row["segment_id"]][name] for name in ("uri", "page", "start", "end")
        }
    assert found["score"].to_pylist() == [0, 1, 6, 7, 8]
    assert found["late"].to_pylist() == [1, 2, 7, 8, 9]
    assert found["pooled"].to_pylist() == [0, 1, None, 7, 8]


def test_no_hits_are_no_rows(tmp_path):
    tables = make_lake(tmp_path, [Doc("a", "v1", "g")])
    none = np.full((2, 3), -np.inf, np.float32)
    hits = Hits(np.full((2, 3), -1), none, none, none)
    found = answers.table(Copied(layout.snapshot(tables)), ["x", "y"], hits)
    assert (found.num_rows, found.schema) == (0, schema.HITS.columns)
