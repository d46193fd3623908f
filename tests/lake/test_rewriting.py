"""Rows leave by one commit, whatever other writers do to the table meanwhile."""

from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from lake_making import failure_row, make_tables, rows_of

from smart_jobs import schema
from smart_jobs.lake import layout, rewriting, table


@pytest.fixture
def tables(tmp_path):
    return make_tables(tmp_path)


def record(tables, *assets):
    layout.append(
        tables.lake,
        schema.FAILURES,
        [failure_row(asset, "v") for asset in assets],
        f"test {assets}",
    )


def drop(tables, *assets):
    ids = pa.array(assets, pa.string())
    affected = pc.field("asset_id").isin(ids)
    return rewriting.drop(tables, schema.FAILURES, affected, lambda rows: pc.invert(pc.is_in(rows["asset_id"], ids)))


def left(tables):
    return sorted(row["asset_id"] for row in rows_of(tables, schema.FAILURES))


def test_only_files_that_lose_rows_are_written_again(tables):
    record(tables, "a", "b")
    record(tables, "c", "d")
    before = set(table.files_of(table.open_table(tables.table_uri(schema.FAILURES))))
    assert drop(tables, "a") == 1
    after = set(table.files_of(table.open_table(tables.table_uri(schema.FAILURES))))
    assert left(tables) == ["b", "c", "d"]
    assert len(before & after) == 1


def test_a_file_that_loses_every_row_goes_altogether(tables):
    record(tables, "a", "a")
    record(tables, "b")
    assert drop(tables, "a") == 2
    assert len(list(table.files_of(table.open_table(tables.table_uri(schema.FAILURES))))) == 1


def test_nothing_to_drop_commits_nothing(tables):
    record(tables, "a")
    version = table.open_table(tables.table_uri(schema.FAILURES)).version()
    assert drop(tables, "x") == 0
    assert table.open_table(tables.table_uri(schema.FAILURES)).version() == version


def test_writers_who_drop_and_append_at_once_lose_nothing_of_each_other(tables):
    names = [f"asset {i}" for i in range(8)]
    record(tables, *names)
    with ThreadPoolExecutor(4) as pool:
        dropped = [pool.submit(drop, tables, name) for name in names[::2]]
        added = [pool.submit(record, tables, f"new {name}") for name in names[:2]]
    assert sum(job.result() for job in dropped) == 4
    assert [job.result() for job in added] == [None, None]
    assert left(tables) == sorted([*names[1::2], "new asset 0", "new asset 1"])
