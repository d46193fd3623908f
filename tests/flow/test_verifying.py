"""Ten ways to damage a lake: verify names what is wrong, a repair takes it out, and the next ingest heals it."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from keeping import DOCS, data_files, evaluate, ingest, make_index, make_lake, replace_file, states
from lake_making import Doc, Run, content, rows_of

from smart_jobs import cli, schema, storage
from smart_jobs.flow import verifying
from smart_jobs.keys import Lake
from smart_jobs.lake import groups, layout, lease, table, writer
from smart_jobs.lake.table import Change
from smart_jobs.settings import Verify


def verify(tables, **options):
    return verifying.run(Verify(lake=Lake(uri=tables.lake.uri), **options))


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    tables = make_lake(tmp_path_factory.mktemp("clean"))
    return content(tables), states(tables)


def rewritten(tables, kind, change):
    """Change the rows of the first file of a table, `change` taking and giving a list of rows."""
    path = data_files(tables, kind)[0]
    rows = pa.parquet.read_table(path).select(kind.columns.names).cast(kind.columns).to_pylist()
    replace_file(tables, kind, path, pa.Table.from_pylist(change(rows), schema=kind.columns))


def missing_states(tables):
    data_files(tables, schema.HIDDEN_STATES)[0].unlink()


def missing_pooled(tables):
    data_files(tables, schema.POOLED)[1].unlink()


def cut_off(tables):
    path = data_files(tables, schema.HIDDEN_STATES)[1]
    path.write_bytes(path.read_bytes()[:-10])


def overwritten(tables):
    path = data_files(tables, schema.POOLED)[0]
    path.write_bytes(b"x" * path.stat().st_size)


def wrong_count(tables):
    uri = tables.table_uri(schema.POOLED)
    handle, path = table.open_table(uri), data_files(tables, schema.POOLED)[0]
    shutil.copy(path, path.with_name("copy.parquet"))
    file = table.File("copy.parquet", path.stat().st_size, 99, table.stats(99))
    named = str(layout.snapshot(tables).hidden_states.version())
    table.commit(handle, Change([file], [path.name], {}, {"hidden_states_version": named}))


def two_rows(tables):
    rewritten(tables, schema.POOLED, lambda rows: [*rows, rows[0]])


def no_states(tables):
    uri, path = tables.table_uri(schema.HIDDEN_STATES), data_files(tables, schema.HIDDEN_STATES)[0]
    table.commit(table.open_table(uri), Change([], [path.name], {}, {}))
    rewritten(tables, schema.POOLED, lambda rows: rows)


def other_states(tables, change):
    uri, path = tables.table_uri(schema.HIDDEN_STATES), data_files(tables, schema.HIDDEN_STATES)[0]
    rows = pa.parquet.read_table(path).cast(schema.HIDDEN_STATES.columns).to_pylist()
    [file] = writer.write_states(tables, pa.Table.from_pylist(change(rows), schema=schema.HIDDEN_STATES.columns))
    table.commit(table.open_table(uri), Change([file], [path.name], {}, {}))
    rewritten(tables, schema.POOLED, lambda rows: rows)


def short_states(tables):
    other_states(tables, lambda rows: [{**rows[0], "states": rows[0]["states"][:-1]}, *rows[1:]])


def states_of_other_shape(tables):
    half = {"n_tokens": 7, "states": b"\0" * 7 * 4 * tables.spec.dim}
    other_states(tables, lambda rows: [{**rows[0], **half}, *rows[1:]])


def states_not_finite(tables):
    other_states(tables, lambda rows: [{**row, "states": b"\xff" * len(row["states"])} for row in rows])


def pooled_with(change):
    def damage(tables):
        rewritten(tables, schema.POOLED, lambda rows: [{**rows[0], "pooled": change(rows[0]["pooled"])}, *rows[1:]])

    return damage


def lost_row(tables):
    rewritten(tables, schema.POOLED, lambda rows: rows[1:])


def second_version(tables):
    rewritten(tables, schema.POOLED, lambda rows: [{**rows[0], "version": "v9", "segment_id": 9}, *rows[1:]])


def no_offsets(tables):
    path = data_files(tables, schema.HIDDEN_STATES)[0]
    Path(writer.offsets_uri(str(path.parent), path.name)).unlink()


def others_offsets(tables):
    one, other = data_files(tables, schema.HIDDEN_STATES)[:2]
    named = [Path(writer.offsets_uri(str(path.parent), path.name)) for path in (one, other)]
    shutil.copy(named[0], named[1])


def missing_failures(tables):
    data_files(tables, schema.FAILURES)[0].unlink()


def missing_runs(tables):
    data_files(tables, schema.RUNS)[0].unlink()


def no_table(tables):
    shutil.rmtree(tables.table_uri(schema.HIDDEN_STATES))


def index_changed(tables):
    path = Path(make_index(tables)) / "index.faiss"
    path.write_bytes(path.read_bytes() + b"x")


def pin_gone(tables):
    evaluate(tables, "e1")
    path = Path(make_index(tables)) / "manifest.json"
    path.write_text(path.read_text().replace('"version": ', '"version": 99'))


def evaluation_of_another_lake(tables):
    evaluate(tables, "e2", {"pooled": {"table_id": "gone", "version": 3}})


def unfinished_group(tables):
    """A run was killed before its commit, and a file of it has been lost since."""

    def reached(step):
        if step == "pending written":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), lease.hold(tables, "ingest", 0) as held:
        Run().ingest(tables, [*DOCS, Doc("e", "v1", "gg")], held.epoch, reached)
    [item] = groups.log.listed(tables)[-1:]
    lost = item.adds[schema.HIDDEN_STATES.name][0].path
    storage.delete(storage.join(tables.table_uri(schema.HIDDEN_STATES), lost))


WAYS = [
    (missing_states, "missing_file"),
    (missing_pooled, "missing_file"),
    (cut_off, "wrong_size"),
    (overwritten, "unreadable_file"),
    (wrong_count, "wrong_count"),
    (two_rows, "duplicate_segment"),
    (no_states, "no_states"),
    (short_states, "wrong_shape"),
    (states_of_other_shape, "wrong_shape"),
    (states_not_finite, "not_finite"),
    (pooled_with(lambda vector: [2 * x for x in vector]), "wrong_norm"),
    (pooled_with(lambda vector: [float("nan"), *vector[1:]]), "not_finite"),
    (pooled_with(lambda vector: vector[1:]), "wrong_length"),
    (lost_row, "missing_ordinals"),
    (second_version, "two_versions"),
    (no_offsets, "no_offsets"),
    (others_offsets, "wrong_offsets"),
    (missing_failures, "missing_file"),
    (missing_runs, "missing_file"),
    (no_table, "no_table"),
    (index_changed, "index_file"),
    (pin_gone, "index_pin"),
    (evaluation_of_another_lake, "evaluation_pin"),
    (unfinished_group, "pending_file"),
]


@pytest.mark.parametrize(("damage", "kind"), WAYS, ids=lambda way: getattr(way, "__name__", str(way)))
def test_a_damaged_lake_is_named_repaired_and_healed(tmp_path, clean, damage, kind):
    tables = make_lake(tmp_path)
    assert verify(tables)["whole"]
    damage(tables)
    found = verify(tables)
    assert not found["whole"]
    assert kind in found["counts"]
    assert all(item["what"] and item["expected"] and item["found"] for item in found["findings"])
    assert verify(tables, repair=True)["repaired"]
    docs = [*DOCS, Doc("e", "v1", "gg")] if damage is unfinished_group else DOCS
    ingest(tables, docs)
    healed = verify(tables)
    assert (healed["counts"], healed["whole"]) == ({}, True)
    if damage is not unfinished_group:
        assert states(tables) == clean[1]
        assert {name: set(rows) for name, rows in content(tables).items()} == {
            name: set(rows) for name, rows in clean[0].items()
        }
        assert content(tables)["pooled"] == clean[0]["pooled"]


def test_a_finding_names_the_table_the_segment_what_was_expected_and_what_was_found(tmp_path):
    tables = make_lake(tmp_path)
    pooled_with(lambda vector: [2 * x for x in vector])(tables)
    [found] = verify(tables)["findings"]
    row = next(row for row in rows_of(tables, schema.POOLED) if abs(sum(x * x for x in row["pooled"]) - 4) < 1e-3)
    assert found["table"] == f"encoders/{tables.spec.full_name}/pooled"
    assert found["what"] == f"segment {row['segment_id']} ({row['uri']}, ordinal {row['ordinal']})"
    assert (found["expected"], found["found"]) == ("norm 1", "norm 2")


def test_what_is_not_read_is_not_found(tmp_path):
    tables = make_lake(tmp_path)
    states_not_finite(tables)
    assert verify(tables, deep=False)["whole"]
    assert not verify(tables)["whole"]


def test_orphans_and_old_states_are_listed_and_no_damage(tmp_path):
    changed = [Doc("a", "v2", "ggg"), *DOCS[1:]]
    tables = make_lake(tmp_path, DOCS, changed)
    orphan = Path(tables.table_uri(schema.HIDDEN_STATES)) / "orphan.parquet"
    orphan.write_bytes(b"12345")
    found = verify(tables)
    assert found["whole"]
    assert found["orphans"] == {"files": 1, "bytes": 5, "listed": [str(orphan)]}
    assert found["unreferenced"] == 3
    assert (found["checked"]["segments"], found["checked"]["states"]) == (8, 11)


def test_many_findings_are_counted_and_some_listed(tmp_path):
    tables = make_lake(tmp_path, [Doc(f"u{i}", "v1", "ggggg") for i in range(10)])
    for path in data_files(tables, schema.HIDDEN_STATES):
        path.unlink()
    found = verify(tables)
    assert found["counts"] == {"missing_file": 30, "no_states": 50}
    assert Counter(item["kind"] for item in found["findings"]) == {"missing_file": 20, "no_states": 20}


def test_a_lake_that_is_not_whole_is_exit_code_1_with_its_json(tmp_path, capfd):
    tables = make_lake(tmp_path)
    assert cli.main(["verify", f"lake={tables.lake.uri}", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["whole"]
    missing_states(tables)
    assert cli.main(["verify", f"lake={tables.lake.uri}", "--json"]) == 1
    assert json.loads(capfd.readouterr().out)["counts"]["missing_file"] == 1
    assert cli.main(["verify", f"lake={tables.lake.uri}"]) == 1
    out = capfd.readouterr().out
    assert "missing_file: encoders/made-" in out
    assert "verify repair=true" in out


def test_a_repair_waits_for_nobody_unless_told(tmp_path):
    tables = make_lake(tmp_path)
    missing_pooled(tables)
    with lease.hold(tables, "ingest", 0), pytest.raises(verifying.lease.JobError, match="is writing"):
        verify(tables, repair=True)
