"""Which assets are gone is asked of the sources that were listed, and of no other."""

import pytest
from lake_making import Doc, Run, failure_row, make_committer, make_tables, promised, rows_of, shown

from smart_jobs import schema
from smart_jobs.lake import layout, prune

DOCS = [Doc("a", "v1", "gg"), Doc("b", "v1", "gb"), Doc("c", "v1", "")]


@pytest.fixture
def tables(tmp_path):
    tables = make_tables(tmp_path)
    Run().ingest(tables, DOCS, 1)
    return tables


def ids(docs):
    return [doc.asset.id for doc in docs]


def test_what_is_not_listed_is_gone_failures_too(tables):
    gone = prune.gone(tables, ["made"], ids(DOCS[:1]))
    assert gone.of == 3
    assert sorted(gone.assets.values()) == ["b", "u"]  # a whole asset's failure row is made with the URI u here
    assert set(gone.assets) == set(ids(DOCS[1:]))


def test_other_sources_are_not_asked_about(tables):
    assert prune.gone(tables, ["another"], []) == prune.Gone({}, 0)
    assert prune.gone(tables, [], []) == prune.Gone({}, 0)


def test_removal_leaves_the_others_and_other_encoders(tables):
    other = layout.create_encoder(tables.lake, tables.spec.model_copy(update={"revision": "r2"}), None)
    Run().ingest(other, DOCS, 1)
    committer = make_committer(tables, 2)
    assert committer.remove(ids(DOCS[1:])) == 1
    assert committer.remove(ids(DOCS[1:])) == 0
    assert prune.forget_failures(tables, ids(DOCS[1:])) == 2  # the damaged one is of any encoder, so it is there once
    assert shown(tables) == promised(DOCS[:1])
    assert shown(other) == promised(DOCS)
    assert {row["spec"] for row in rows_of(tables, schema.FAILURES)} == {other.spec.digest}


def test_a_pruned_asset_that_comes_back_is_encoded_again(tables):
    make_committer(tables, 2).remove(ids(DOCS[:1]))
    assert Run().ingest(tables, DOCS, 3) == 2
    assert shown(tables) == promised(DOCS)


def test_a_failure_of_another_encoder_is_not_this_ones_to_report(tables):
    row = failure_row("foreign", "v", spec="another")
    layout.append(tables.lake, schema.FAILURES, [row], "test")
    assert prune.gone(tables, ["made"], ids(DOCS)).assets == {}
