"""Which rows of an evaluation's lake are its queries."""

import numpy as np
from lake_making import make_committer, make_receipt, make_segment, make_tables, rows_of

from smart_jobs import schema
from smart_jobs.flow import query_rows


def test_queries_are_told_from_candidates_by_what_their_uri_is_the_digest_of(tmp_path):
    tables, inner = make_tables(tmp_path), make_tables(tmp_path / "evaluation")
    texts = ["where are the rivers", "g", "what is a bridge"]
    asked = [make_segment(query_rows.uri(text, "", "query"), "v", 0, 1, text) for text in texts]
    others = [make_segment(query_rows.uri(text, "", "document"), "v", 0, 1, text) for text in texts]
    committer = make_committer(inner)
    committer.add(make_receipt(inner, [*asked, *others, make_segment("eval:x", "v", 0, 1)]))
    committer.commit()
    wanted = {segment.segment_id for segment in asked}
    rows = sorted(rows_of(inner, schema.POOLED), key=lambda row: row["segment_id"])
    stored = np.array([row["pooled"] for row in rows if row["segment_id"] in wanted], np.float32)
    np.testing.assert_array_equal(query_rows.stored(tables.lake, tables.spec), stored)


def test_a_lake_without_evaluations_has_none(tmp_path):
    tables = make_tables(tmp_path)
    assert query_rows.stored(tables.lake, tables.spec).shape == (0, 4)
    make_tables(tmp_path / "evaluation", name="another", revision="r2")
    assert query_rows.stored(tables.lake, tables.spec).shape == (0, 4)
    make_tables(tmp_path / "evaluation")
    assert query_rows.stored(tables.lake, tables.spec).shape == (0, 4)
