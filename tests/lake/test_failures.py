"""What `failures` says is what is wrong now: a retry replaces its row, success removes it."""

import pytest
from lake_making import Doc, Run, content, failure_row, make_tables, rows_of

from smart_jobs import schema
from smart_jobs.lake import failures, layout, table
from smart_jobs.records import MAX_ATTEMPTS


@pytest.fixture
def tables(tmp_path):
    return make_tables(tmp_path)


def record(tables, *rows):
    for number, row in enumerate(rows):
        layout.append(tables.lake, schema.FAILURES, [row | {"at": number}], f"row {number}")


def kept(tables):
    return [(row["version"], row["ordinal"], row["attempts"]) for row in rows_of(tables, schema.FAILURES)]


def test_a_retry_replaces_the_row_before_it(tables):
    asset, spec = Doc("a", "v1", "").asset.id, tables.spec.digest
    record(tables, *(failure_row(asset, "v1", spec=spec, attempts=n) for n in range(1, MAX_ATTEMPTS + 1)))
    assert failures.tidy(tables) == MAX_ATTEMPTS - 1
    assert kept(tables) == [("v1", None, MAX_ATTEMPTS)]
    assert failures.tidy(tables) == 0


def test_success_removes_the_row_and_no_other(tables):
    doc = Doc("a", "v1", "gbg")
    Run().ingest(tables, [doc], 1)
    asset, spec = doc.asset.id, tables.spec.digest
    record(tables, failure_row(asset, "v1", spec=spec, ordinal=2, of=3), failure_row(asset, "v1", spec="x", ordinal=2))
    assert failures.tidy(tables) == 1
    assert sorted(kept(tables)) == [("v1", 1, 1), ("v1", 2, 1)]


def test_rows_of_a_version_that_is_neither_seen_nor_shown_go(tables):
    Run().ingest(tables, [Doc("a", "v1", "gb"), Doc("b", "v1", "")], 1)
    Run().ingest(tables, [Doc("a", "v2", "g"), Doc("b", "v2", "g")], 2)
    assert kept(tables) == []


def test_a_version_that_stays_in_pooled_keeps_its_rows_beside_those_of_the_bad_one_after_it(tables):
    Run().ingest(tables, [Doc("a", "v1", "gb")], 1)
    Run().ingest(tables, [Doc("a", "v2", "bb")], 2)
    assert sorted(kept(tables)) == [("v1", 1, 1), ("v2", 0, 1), ("v2", 1, 1)]


def test_nothing_to_tidy_commits_nothing(tables):
    Run().ingest(tables, [Doc("a", "v1", "gb")], 1)
    before = table.open_table(tables.table_uri(schema.FAILURES)).version()
    assert failures.tidy(tables) == 0
    assert table.open_table(tables.table_uri(schema.FAILURES)).version() == before
    assert content(tables)["failures"].total() == 1
