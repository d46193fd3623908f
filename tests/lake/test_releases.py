"""Lakes of other releases: an older one opens and is worked with, a newer one is one clear line."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable
from lake_making import Doc, Run, embed, make_segment, make_spec, make_tables, promised, rows_of, shown

from smart_jobs import schema
from smart_jobs.flow import status
from smart_jobs.keys import Lake
from smart_jobs.lake import layout, lease, libraries, table
from smart_jobs.lake.reader import StatesReader
from smart_jobs.records import JobError
from smart_jobs.search import hybrid, opened
from smart_jobs.settings import Status

ABSENT = {schema.POOLED: ["meta", "pooled_kind"], schema.RUNS: ["libraries"], schema.FAILURES: ["detail"]}
"""What the made-up older release did not know: optional and required columns."""

DOCS = [Doc("a", "v1", "gg"), Doc("b", "v1", "gbg"), Doc("c", "v1", "")]

NEWER = f"^{{}}: made by a newer smart-jobs, with schema {schema.VERSION + 1}; this one knows {schema.VERSION}"


@pytest.fixture
def older(tmp_path):
    """A lake with rows of a release whose tables lacked columns, and said nothing of a schema."""
    tables = make_tables(tmp_path / "today")
    with lease.hold(tables, "ingest", 0):
        Run().ingest(tables, DOCS, 1)
    old = tmp_path / "old"
    spec = tables.spec.full_name
    Path(old, "encoders", spec).mkdir(parents=True)
    marker = json.loads(Path(tables.lake.uri, "_lake.json").read_text())
    Path(old, "_lake.json").write_text(json.dumps({"lake_id": marker["lake_id"]}))
    content = json.loads(Path(tables.uri, "encoder.json").read_text())
    content["spec"]["mask"] = "non_special"  # what `reference` was called
    Path(old, "encoders", spec, "encoder.json").write_text(json.dumps(content))
    made = layout.open_encoder(layout.open_lake(str(old)), spec)
    for kind in (*schema.LAKE_TABLES, *schema.ENCODER_TABLES):
        copy_without(DeltaTable(tables.table_uri(kind)), made.table_uri(kind), kind)
    for offsets in Path(tables.table_uri(schema.HIDDEN_STATES), "_offsets").iterdir():
        copy(offsets, Path(made.table_uri(schema.HIDDEN_STATES), "_offsets", offsets.name))
    return made


def copy(source, target):
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(source.read_bytes())


def copy_without(source, uri, kind):
    """The table as one commit with the same files, but for the columns of `ABSENT`."""
    names = [name for name in kind.columns.names if name not in ABSENT.get(kind, ())]
    columns = pa.schema([kind.columns.field(name) for name in names])
    made = DeltaTable.create(uri, columns, name=kind.name, description="an embedding lake")
    files = []
    for name in table.files_of(source):
        rows = Path(source.table_uri.removeprefix("file://"), name)
        copy(rows, Path(uri, name))
        if kind in ABSENT:
            pa.parquet.write_table(pa.parquet.read_table(rows).select(names), Path(uri, name))
        count = pa.parquet.read_metadata(rows).num_rows
        files.append(table.File(name, Path(uri, name).stat().st_size, count, table.stats(count)))
    named = {"hidden_states_version": "1"} if kind == schema.POOLED else {}
    if files:
        table.commit(made, table.Change(files, [], {"copy": 1}, named))


def test_the_older_lake_lacks_what_it_should(older):
    for kind, absent in ABSENT.items():
        stored = {field.name for field in DeltaTable(older.table_uri(kind)).schema().fields}
        assert stored == set(kind.columns.names) - set(absent)


def test_a_missing_column_reads_as_null_or_empty_and_can_be_filtered(older):
    pooled = table.open_table(older.table_uri(schema.POOLED))
    rows = table.read(pooled, ["uri", "pooled_kind", "meta"])
    assert {(row["pooled_kind"], row["meta"]) for row in rows.to_pylist()} == {("", None)}
    assert rows.num_rows == table.read(pooled, ["uri"], pc.field("meta").is_null()).num_rows == 4
    assert table.read(pooled, ["uri"], pc.field("pooled_kind") == "model").num_rows == 0
    runs = table.open_table(older.table_uri(schema.RUNS))
    assert table.read(runs, ["libraries"])["libraries"].to_pylist() == [[], []]
    assert rows.schema.field("pooled_kind").nullable is False


def test_an_older_lake_has_a_status(older):
    result = status.run(Status(lake=Lake(uri=older.lake.uri)))
    assert [(encoder["segments"], encoder["stale"]) for encoder in result["encoders"]] == [(4, 0)]
    assert result["failures"] == {"not_finite": 1, "damaged": 1}
    assert result["last_run"]["ended"] == "end"


def test_an_older_lake_is_searched(older):
    wanted = make_segment("b", "v1", 2, 3)
    hits = hybrid.search(opened.newest(older), [embed(wanted)], 1, exhaustive=True)
    assert hits.ids.tolist() == [[wanted.segment_id]]
    assert len(StatesReader(layout.snapshot(older)).read(hits.ids[0]).values) == len(embed(wanted).states)


def test_an_older_lake_says_that_its_libraries_are_not_known(older):
    assert {before for before, _ in libraries.changes(older).values()} == {"none"}


def test_an_older_lake_is_gone_on_with(older):
    assert Run().ingest(older, DOCS, 2) == 0
    later = [*DOCS, Doc("d", "v1", "g"), Doc("a", "v2", "ggg")]
    with lease.hold(older, "ingest", 0):
        assert Run().ingest(older, later, 3) == 4
    assert shown(older) == promised([later[1], later[3], later[4]])
    assert {row["pooled_kind"] for row in rows_of(older, schema.POOLED)} == {""}


def test_a_lake_of_a_newer_release_is_one_line(tmp_path):
    uri = make_tables(tmp_path).lake.uri
    Path(uri, "_lake.json").write_text(json.dumps({"lake_id": "x", "schema_version": schema.VERSION + 1}))
    with pytest.raises(
        JobError,
        match=NEWER.format(f"lake {uri}"),
    ):
        layout.open_lake(uri)


def test_a_table_of_a_newer_release_is_one_line(tmp_path):
    uri = str(tmp_path / "pooled")
    DeltaTable.create(uri, schema.POOLED.columns, name="pooled", description=f"smart-jobs schema {schema.VERSION + 1}")
    with pytest.raises(
        JobError,
        match=NEWER.format(uri),
    ):
        table.open_table(uri)


def test_a_new_table_says_the_schema_of_this_release(tmp_path):
    tables = layout.create_encoder(layout.create_lake(str(tmp_path)), make_spec(), None)
    for kind in (*schema.LAKE_TABLES, *schema.ENCODER_TABLES):
        assert DeltaTable(tables.table_uri(kind)).metadata().description == f"smart-jobs schema {schema.VERSION}"


def test_a_spec_that_cannot_be_read_is_one_line(tmp_path):
    tables = make_tables(tmp_path / "lake")
    marker = Path(tables.uri, "encoder.json")
    content = json.loads(marker.read_text())
    marker.write_text(json.dumps({**content, "spec": {**content["spec"], "mask": "odd"}}))
    with pytest.raises(JobError, match=r"encoder.json: .* cannot read: mask: .* found 'odd'") as raised:
        layout.open_encoder(tables.lake, tables.spec.full_name)
    assert "\n" not in str(raised.value)
