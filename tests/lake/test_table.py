"""The tables of a lake as anyone opens them: properties, schemas, filtered reads, commits, snapshots."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable, QueryBuilder
from deltalake.exceptions import CommitFailedError
from lake_making import (
    Doc,
    Run,
    asset_row,
    embed,
    failure_row,
    make_receipt,
    make_segment,
    make_spec,
    make_tables,
    rows_of,
)

from smart_jobs import schema, storage
from smart_jobs.lake import layout, table
from smart_jobs.lake.table import Change
from smart_jobs.records import AssetError, Embedding, JobError

TABLES = [*schema.LAKE_TABLES, *schema.ENCODER_TABLES]
named = pytest.mark.parametrize("kind", TABLES, ids=lambda kind: kind.name)


@pytest.fixture
def tables(tmp_path):
    return make_tables(tmp_path)


def plain(tables, kind):
    """Opened as by someone who knows nothing of us."""
    return DeltaTable(tables.table_uri(kind))


@named
def test_a_table_is_created_to_keep_its_log(tables, kind):
    found = plain(tables, kind).metadata()
    assert found.configuration["delta.logRetentionDuration"] == "interval 3650 days"
    assert (found.name, found.partition_columns) == (kind.name, [])
    assert found.description == f"smart-jobs schema {schema.VERSION}"


@named
def test_a_schema_comes_back_as_it_was_named(tables, kind):
    found = pa.schema(plain(tables, kind).schema().to_arrow())
    assert found.names == kind.columns.names
    for field in kind.columns:
        assert found.field(field.name).nullable == field.nullable
        assert plain_type(found.field(field.name).type) == plain_type(field.type), field.name


def plain_type(kind):
    """A type without the names that Arrow and Parquet give to what lies inside lists and maps."""
    if pa.types.is_list(kind):
        return ("list", plain_type(kind.value_type), kind.value_field.nullable)
    if pa.types.is_map(kind):
        return ("map", plain_type(kind.key_type), plain_type(kind.item_type))
    return kind


def test_making_a_lake_again_changes_nothing(tables):
    again = layout.create_encoder(layout.create_lake(tables.lake.uri), tables.spec, None)
    assert again == tables
    assert {plain(tables, kind).version() for kind in TABLES} == {0}


def test_a_folder_without_a_lake_is_one_line(tmp_path):
    with pytest.raises(
        JobError, match=f"lake {tmp_path}: no lake there; `smart-jobs ingest source=… lake={tmp_path}` makes one"
    ):
        layout.open_lake(str(tmp_path))


def test_a_missing_encoder_names_those_that_there_are(tables):
    other = make_spec("other").full_name
    with pytest.raises(JobError, match=f"with {other}; encoders there: {tables.spec.full_name}"):
        layout.open_encoder(tables.lake, other)


def test_an_empty_lake_says_that_it_has_no_encoders(tmp_path):
    with pytest.raises(JobError, match=r"encoders there: none$"):
        layout.open_encoder(layout.create_lake(str(tmp_path)), "x-1")


def test_a_missing_table_is_one_line(tables):
    uri = storage.join(tables.uri, "nothing")
    with pytest.raises(JobError, match=f"^{uri}: the table is missing"):
        table.open_table(uri)


def test_another_codec_is_refused_and_the_same_is_not(tables):
    with pytest.raises(JobError, match=f"^codec=int8: the states of {tables.spec.full_name} are stored as float32"):
        layout.create_encoder(tables.lake, tables.spec, "int8")
    assert layout.create_encoder(tables.lake, tables.spec, "float32").codec == "float32"


def test_an_equal_encoder_under_another_name_is_refused(tables):
    with pytest.raises(JobError, match=f"^encoder twin: .* has the same encoder as {tables.spec.full_name}"):
        layout.create_encoder(tables.lake, make_spec("twin"), None)
    assert layout.encoders(tables.lake) == [tables.spec.full_name]


def commit_rows(tables, kind, rows, app="a test"):
    handle, uri = table.open_table(tables.table_uri(kind)), tables.table_uri(kind)
    file = table.write_file(uri, kind, pa.Table.from_pylist(rows, schema=kind.columns))
    table.commit(handle, Change([file], [], {app: (handle.transaction_version(app) or 0) + 1}, {}))


def filled(tables):
    """Files of which some columns hold only nulls, or one value, or values that others have too."""
    files = [
        [failure_row("a", "v1", spec=None, ordinal=None)],
        [failure_row("a", "v1", spec="s1", ordinal=3, of=9), failure_row("b", "v1", spec="s2", ordinal=0, of=1)],
        [failure_row("a", "v2", spec="s1", ordinal=None)],
        [failure_row("c", "v1", spec=None, ordinal=3, of=9), failure_row("a", "v1", spec="s1", ordinal=4, of=9)],
    ]
    for number, rows in enumerate(files):
        if number == 2:
            layout.append(tables.lake, schema.FAILURES, rows, "another app")
        else:
            commit_rows(tables, schema.FAILURES, rows)
    return [row for rows in files for row in rows]


FILTERS = [
    ("asset_id = 'a'", pc.field("asset_id") == "a", lambda row: row["asset_id"] == "a"),
    ("spec = 's1'", pc.field("spec") == "s1", lambda row: row["spec"] == "s1"),
    ("spec is null", pc.field("spec").is_null(), lambda row: row["spec"] is None),
    ("ordinal = 3", pc.field("ordinal") == 3, lambda row: row["ordinal"] == 3),
    ("ordinal is null", pc.field("ordinal").is_null(), lambda row: row["ordinal"] is None),
    ("ordinal >= 0", pc.field("ordinal") >= 0, lambda row: row["ordinal"] is not None),
    ("attempts = 1", pc.field("attempts") == 1, lambda row: row["attempts"] == 1),
    ("version > 'v1'", pc.field("version") > "v1", lambda row: row["version"] > "v1"),
]


@pytest.mark.parametrize("checkpoint", [False, True], ids=["log", "checkpoint"])
@pytest.mark.parametrize(("sql", "where", "expected"), FILTERS, ids=[sql for sql, _, _ in FILTERS])
def test_a_filtered_read_loses_no_rows(tables, checkpoint, sql, where, expected):
    rows = filled(tables)
    handle = plain(tables, schema.FAILURES)
    if checkpoint:
        handle.create_checkpoint()
        handle = plain(tables, schema.FAILURES)
    wanted = sorted(key(row) for row in rows if expected(row))
    columns = ["spec", "asset_id", "version", "ordinal"]
    assert wanted
    assert sorted(map(key, table.read(handle, columns, where).to_pylist())) == wanted
    query = f"select {', '.join(columns)} from failures where {sql}"
    found = pa.table(QueryBuilder().register("failures", handle).execute(query))
    assert sorted(map(key, found.to_pylist())) == wanted


def key(row):
    return str([row[name] for name in ("spec", "asset_id", "version", "ordinal")])


@pytest.mark.parametrize("checkpoint", [False, True], ids=["log", "checkpoint"])
def test_every_segment_is_found_by_its_id_in_both_tables(tables, checkpoint):
    Run(unit=2).ingest(tables, [Doc(f"u{i}", "v1", "ggg") for i in range(4)], 1)
    for kind in schema.ENCODER_TABLES:
        if checkpoint:
            plain(tables, kind).create_checkpoint()
        handle = plain(tables, kind)
        ids = table.read(handle, ["segment_id"])["segment_id"].to_pylist()
        assert len(set(ids)) == len(ids) == 12
        for segment in ids:
            assert table.read(handle, ["segment_id"], pc.field("segment_id") == segment).num_rows == 1
            query = f"select segment_id from t where segment_id = {segment}"
            assert pa.table(QueryBuilder().register("t", handle).execute(query)).num_rows == 1


def test_a_stale_snapshot_cannot_commit_for_the_same_app(tables):
    uri = tables.table_uri(schema.ASSETS)
    one, two = table.open_table(uri), table.open_table(uri)
    table.commit(one, Change([], [], {"app": 1}, {}))
    with pytest.raises(CommitFailedError):
        table.commit(two, Change([], [], {"app": 1}, {}))
    with pytest.raises(CommitFailedError):
        table.commit(two, Change([], [], {"another": 1, "app": 2}, {}))
    assert table.open_table(uri).version() == 1


def test_a_handle_moves_on_with_its_own_commits(tables):
    handle = table.open_table(tables.table_uri(schema.ASSETS))
    for version in (1, 2, 3):
        table.commit(handle, Change([], [], {"app": version}, {}))
        assert (handle.version(), handle.transaction_version("app")) == (version, version)


def test_appends_of_two_apps_from_stale_handles_both_land(tables):
    uri = tables.table_uri(schema.ASSETS)
    rows = [asset_row(Doc(name, "v1", "g"), "run") for name in "ab"]
    handles = [table.open_table(uri), table.open_table(uri)]
    for handle, row in zip(handles, rows, strict=True):
        file = table.write_file(uri, schema.ASSETS, pa.Table.from_pylist([row], schema=schema.ASSETS.columns))
        table.commit(handle, Change([file], [], {row["uri"]: 1}, {}))
    assert {row["uri"] for row in rows_of(tables, schema.ASSETS)} == {"a", "b"}


def test_appends_at_the_same_moment_all_land(tables):
    def one(number):
        layout.append(
            tables.lake,
            schema.ASSETS,
            [asset_row(Doc(str(number), "v1", "g"), "run")],
            f"app {number}",
        )

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, range(8)))
    assert sorted(row["uri"] for row in rows_of(tables, schema.ASSETS)) == [str(number) for number in range(8)]


def test_a_snapshot_pins_the_states_that_pooled_names(tables):
    Run().ingest(tables, [Doc("a", "v1", "gg")], 1)
    before = layout.snapshot(tables)
    stray = make_receipt(tables, [make_segment("b", "v1", 0, 1)])
    (file,) = stray["states"][0].as_py()
    add = table.File(file["path"], file["size"], file["rows"], table.stats(file["rows"]))
    states = table.open_table(tables.table_uri(schema.HIDDEN_STATES))
    table.commit(states, Change([add], [], {"a run that was killed": 1}, {}))
    after = layout.snapshot(tables)
    assert after.versions() == before.versions()
    assert after.versions()["hidden_states"] == {"table_id": table.table_id(states), "version": states.version() - 1}
    assert set(table.files_of(after.hidden_states)) == set(table.files_of(states)) - {file["path"]}


def test_the_first_snapshot_is_empty(tables):
    assert [pin["version"] for pin in layout.snapshot(tables).versions().values()] == [0, 0]


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("a column is missing", lambda rows: rows.drop_columns(["reason"])),
        ("a null where none may be", lambda rows: rows.set_column(0, "asset_id", pa.nulls(1, pa.string()))),
        ("another type", lambda rows: rows.set_column(rows.column_names.index("attempts"), "attempts", [["many"]])),
    ],
)
def test_rows_of_another_shape_are_refused(tables, name, broken):
    rows = pa.Table.from_pylist([failure_row("a", "v1")], schema=schema.FAILURES.columns)
    with pytest.raises((ValueError, KeyError)):
        table.write_file(tables.table_uri(schema.FAILURES), schema.FAILURES, broken(rows))
    assert not list(Path(tables.table_uri(schema.FAILURES)).glob("*.parquet"))


@pytest.mark.parametrize("wrong", ["pooled", "states", "no tokens"])
def test_vectors_of_another_length_are_refused(tables, monkeypatch, wrong):
    right = embed(make_segment("a", "v1", 0, 1))
    pooled = right.pooled[:-1] if wrong == "pooled" else right.pooled
    states = {"pooled": right.states, "states": right.states[:, :-1], "no tokens": right.states[:0]}[wrong]
    monkeypatch.setattr("lake_making.encode", lambda *_: Embedding(pooled, states))
    with pytest.raises(ValueError, match=r"expected pooled \(4,\) and states \(n, 4\)"):
        make_receipt(tables, [make_segment("a", "v1", 0, 1)])
    assert not list(Path(tables.table_uri(schema.HIDDEN_STATES)).glob("*.parquet"))


def test_a_bad_segment_costs_its_neighbours_nothing(tables, monkeypatch):
    segments = [make_segment("a", "v1", i, 3, text) for i, text in enumerate("gbg")]
    receipt = make_receipt(tables, segments)
    assert [row["ordinal"] for row in receipt["pooled"][0].as_py()] == [0, 2]
    (failure,) = receipt["failures"][0].as_py()
    error = AssetError("not_finite", "made up", "encode")
    assert (failure["ordinal"], failure["of"], failure["spec"]) == (1, 3, tables.spec.digest)
    assert (failure["reason"], failure["detail"], failure["step"]) == (error.reason, error.detail, error.step)


def test_the_marker_of_a_lake_says_its_id_and_schema(tables):
    content = json.loads(Path(tables.lake.uri, "_lake.json").read_text())
    assert content == {"lake_id": tables.lake.id, "schema_version": schema.VERSION}
