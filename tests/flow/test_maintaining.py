"""Maintenance keeps every row and every pinned version, whoever reads, wherever it is killed; the rest goes."""

import json
import os
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from keeping import DOCS, data_files, evaluate, ingest, make_index, make_lake, states
from lake_making import Doc, Run, content, make_tables, rows_of

from smart_jobs import cli, schema, storage
from smart_jobs.flow import maintaining, verifying
from smart_jobs.keys import Lake
from smart_jobs.lake import groups, layout, lease, pending, table, writer
from smart_jobs.lake.reader import StatesReader
from smart_jobs.records import JobError
from smart_jobs.settings import Maintain, Verify
from smart_jobs.upkeep import compact, logs
from smart_jobs.upkeep.transcode import transcode

CHANGED = [Doc("a", "v2", "ggg"), *DOCS[1:], Doc("e", "v1", "ggbg")]


class Killed(BaseException):
    """Passes every `except Exception`, as a kill does."""


def maintain(tables, reached=lambda _step: None, **options):
    return maintaining.run(Maintain(lake=Lake(uri=tables.lake.uri), **options), reached)


def whole(tables):
    return verifying.run(Verify(lake=Lake(uri=tables.lake.uri)))


def age(tables, days=30):
    """Let every file that lies there be so much older."""
    then = time.time() - days * 86400
    for path in Path(tables.lake.uri).rglob("*.parquet"):
        os.utime(path, (then, then))


def stored(tables, kind):
    return {path.name for path in Path(tables.table_uri(kind)).glob("*.parquet")}


def test_few_files_with_the_same_rows_without_old_states(tmp_path):
    tables = make_lake(tmp_path, DOCS, CHANGED)
    rows, vectors = content(tables), states(tables)
    assert whole(tables)["unreferenced"] == 3
    result = maintain(tables, retention_hours=0)
    assert result["swept"] == 3
    for kind in schema.ENCODER_TABLES:
        assert len(data_files(tables, kind)) == 1
        assert stored(tables, kind) == {path.name for path in data_files(tables, kind)}
    assert content(tables)["pooled"] == rows["pooled"]
    assert content(tables)["failures"] == rows["failures"]
    assert states(tables) == vectors
    found = whole(tables)
    assert (found["whole"], found["unreferenced"], found["orphans"]["files"]) == (True, 0, 0)
    assert ingest(tables, CHANGED) == 0


def test_the_report_counts_before_and_after(tmp_path):
    tables = make_lake(tmp_path, DOCS, CHANGED)
    before = {kind: (len(data_files(tables, kind)), len(stored(tables, kind))) for kind in schema.ENCODER_TABLES}
    result = maintain(tables, retention_hours=0)
    for kind in schema.ENCODER_TABLES:
        found = result["tables"][f"encoders/{tables.spec.full_name}/{kind.name}"]
        assert found["before"]["files"] == before[kind][0]
        assert found["after"] == {"files": 1, "rows": 11, "bytes": found["after"]["stored"],
                                  "stored": data_files(tables, kind)[0].stat().st_size}  # fmt: skip
        assert found["before"]["stored"] > found["after"]["stored"]


def test_a_second_run_changes_no_file(tmp_path):
    tables = make_lake(tmp_path, DOCS, CHANGED)
    maintain(tables)
    before = {kind: data_files(tables, kind) for kind in schema.ENCODER_TABLES}
    assert maintain(tables)["swept"] == 0
    assert {kind: data_files(tables, kind) for kind in schema.ENCODER_TABLES} == before


@pytest.mark.slow
def test_files_grow_towards_the_target_and_not_beyond(tmp_path):
    tables = make_lake(tmp_path, [Doc(f"u{i}", "v1", "ggggggg") for i in range(20)])
    vectors, size = states(tables), max(path.stat().st_size for path in data_files(tables, schema.HIDDEN_STATES))
    target = 4 * size
    for _ in range(3):  # what is put together has one footer instead of many, and is packed again
        maintain(tables, target_mb=target / 1e6)
    sizes = sorted(path.stat().st_size for path in data_files(tables, schema.HIDDEN_STATES))
    assert len(sizes) > 2
    assert sizes[-1] <= target
    assert sizes[1] >= target / 2
    assert states(tables) == vectors


@pytest.mark.parametrize(
    ("sizes", "must", "groups_"),
    [
        ({"a": 1, "b": 1, "c": 9}, [], [["a", "b"]]),
        ({"a": 1, "c": 9}, [], []),
        ({"a": 1, "c": 9}, ["c"], [["a", "c"]]),
        ({"a": 4, "b": 4, "c": 4, "d": 4}, [], [["a", "b"], ["c", "d"]]),
        ({"a": 40, "b": 40}, ["a", "b"], [["a"], ["b"]]),
        ({}, [], []),
    ],
)
def test_what_is_packed(sizes, must, groups_):
    assert compact.pack(sizes, must, 10) == groups_


def test_copies_of_a_state_are_swept(tmp_path):
    tables = make_lake(tmp_path)
    first, vectors = data_files(tables, schema.HIDDEN_STATES)[0], states(tables)
    rows = table.read(table.open_table(tables.table_uri(schema.HIDDEN_STATES)), schema.HIDDEN_STATES.columns.names)
    with lease.hold(tables, "ingest", 0) as held:
        commits = groups.Groups(tables, held, groups.roll_forward(tables, held))
        commits.commit({"hidden_states": writer.write_states(tables, rows)})
    ingest(tables, DOCS)
    assert whole(tables)["copies"] == 8
    assert maintain(tables)["swept"] == 8
    assert (whole(tables)["copies"], states(tables)) == (0, vectors)
    assert first.exists()


def steps_of(tables, **options):
    steps = []
    maintain(tables, steps.append, **options)
    return steps


@pytest.mark.slow
def test_killed_at_any_step_the_next_run_finishes(tmp_path):
    clean = make_lake(tmp_path / "counted", DOCS, CHANGED)
    steps = steps_of(clean, retention_hours=0)
    assert {"files written", "hidden_states committed", "pooled committed", "vacuumed"} <= set(steps)
    for at in range(steps.index("fenced"), len(steps)):
        tables, left = make_lake(tmp_path / str(at), DOCS, CHANGED), iter(range(len(steps)))

        def reached(step, at=at, left=left):
            if next(left) == at:
                raise Killed

        with pytest.raises(Killed):
            maintain(tables, reached, retention_hours=0)
        assert states(tables) == states(clean), steps[at]
        maintain(tables, retention_hours=0)
        assert content(tables) == content(clean), steps[at]
        assert states(tables) == states(clean)
        found = whole(tables)
        assert (found["whole"], found["orphans"]["files"], found["unreferenced"]) == (True, 0, 0), steps[at]


def test_a_reader_beside_it_sees_the_same_all_the_time(tmp_path):
    tables = make_lake(tmp_path, DOCS, CHANGED)
    wanted, stop, seen = states(tables), threading.Event(), []

    def read():
        while not stop.is_set():
            seen.append(states(tables) == wanted)

    reader = threading.Thread(target=read)
    reader.start()
    opened = layout.snapshot(tables)
    for target in (0.0001, 0.001, 128):
        maintain(tables, target_mb=target)
    while not seen:
        time.sleep(0.01)
    stop.set()
    reader.join()
    assert all(seen)
    ids = np.array(sorted(wanted))
    assert StatesReader(opened).read(ids).offsets[-1] > 0


def test_replaced_files_stay_for_a_week_and_go_after_it(tmp_path):
    tables = make_lake(tmp_path, DOCS, CHANGED)
    before = stored(tables, schema.HIDDEN_STATES)
    maintain(tables)
    assert before < stored(tables, schema.HIDDEN_STATES)
    age(tables)
    maintain(tables)
    assert before < stored(tables, schema.HIDDEN_STATES), "it is the time of the commit that counts"
    maintain(tables, retention_hours=0)
    assert stored(tables, schema.HIDDEN_STATES) == {path.name for path in data_files(tables, schema.HIDDEN_STATES)}
    offsets = Path(tables.table_uri(schema.HIDDEN_STATES)) / "_offsets"
    assert {path.stem for path in offsets.iterdir()} == {path.stem for path in data_files(tables, schema.HIDDEN_STATES)}


def read_pinned(tables, pins):
    opened = {name: table.open_table(storage.join(tables.uri, name), pin["version"]) for name, pin in pins.items()}
    snapshot = layout.Snapshot(tables, **opened)
    ids = np.sort(table.read(snapshot.pooled, ["segment_id"])["segment_id"].to_numpy())
    return ids.tolist(), StatesReader(snapshot).read(ids).values.tobytes()


@pytest.mark.parametrize("pin", [make_index, lambda tables: evaluate(tables, "e1")], ids=["index", "evaluation"])
def test_a_pinned_version_can_be_read_after_everything_else_is_gone(tmp_path, pin):
    tables = make_lake(tmp_path)
    pin(tables)
    pins = layout.snapshot(tables).versions()
    before = read_pinned(tables, pins)
    ingest(tables, CHANGED)
    for _ in range(3):
        maintain(tables, retention_hours=0)
        assert read_pinned(tables, pins) == before
    assert whole(tables)["whole"]


def test_logs_are_trimmed_below_the_oldest_pin_and_no_further(tmp_path):
    tables = make_lake(tmp_path)
    maintain(tables, retention_hours=0)
    evaluate(tables, "e1")
    pins = layout.snapshot(tables).versions()
    before = read_pinned(tables, pins)
    ingest(tables, CHANGED)
    log = Path(tables.table_uri(schema.POOLED)) / "_delta_log"
    time.sleep(0.02)
    maintain(tables, retention_hours=0)
    maintain(tables, retention_hours=0)
    first = min(int(path.name[:20]) for path in log.glob("0*"))
    assert 0 < first <= pins["pooled"]["version"]
    assert read_pinned(tables, pins) == before
    assert whole(tables)["whole"]
    assert ingest(tables, [*CHANGED, Doc("f", "v1", "g")]) == 1


def test_without_a_checkpoint_no_log_is_trimmed(tmp_path):
    tables = make_lake(tmp_path)
    uri = tables.table_uri(schema.POOLED)
    assert logs.trim(uri, maintaining.datetime.now(maintaining.UTC), ()) == 0
    logs.checkpoint(uri)
    assert logs.trim(uri, maintaining.datetime.now(maintaining.UTC), (0,)) == 0


def test_files_of_a_killed_run_go_and_those_of_a_pending_commit_do_not(tmp_path):
    tables = make_lake(tmp_path)
    more = [*DOCS, Doc("e", "v1", "gg")]

    def reached(step):
        if step == "pending written":
            raise Killed

    with pytest.raises(Killed), lease.hold(tables, "ingest", 0) as held:
        Run().ingest(tables, more, held.epoch, reached)
    orphan = Path(tables.table_uri(schema.HIDDEN_STATES)) / "orphan.parquet"
    orphan.write_bytes(b"12345")
    assert any(file for item in pending.listed(tables) for file in item.adds.values())
    maintain(tables)
    assert not orphan.exists()
    ingest(tables, more)
    assert whole(tables)["whole"]
    assert content(tables)["pooled"].total() == 10


def test_waiting_rows_keep_their_states(tmp_path):
    tables = make_lake(tmp_path)
    changed = [Doc("a", "v2", "ggggg"), *DOCS[1:]]

    seen = []

    def reached(step):
        seen.append(step)
        if seen.count("pending removed") == 2:
            raise Killed

    with pytest.raises(Killed), lease.hold(tables, "ingest", 0) as held:
        Run().ingest(tables, changed, held.epoch, reached)
    waiting = groups.unfinished(tables).rows
    assert waiting.num_rows
    assert maintain(tables, retention_hours=0)["swept"] == 0
    assert groups.unfinished(tables).rows.num_rows == waiting.num_rows
    assert ingest(tables, changed) == 5 - waiting.num_rows
    assert whole(tables)["whole"]


def test_shared_tables_keep_young_files_that_nothing_names_yet(tmp_path):
    tables = make_lake(tmp_path)
    young, old = (Path(tables.table_uri(schema.EVALUATIONS)) / f"{name}.parquet" for name in ("young", "old"))
    young.write_bytes(b"1")
    old.write_bytes(b"1")
    os.utime(old, (0, 0))
    maintain(tables, retention_hours=0)
    assert (young.exists(), old.exists()) == (True, False)


@pytest.mark.slow
def test_files_younger_than_a_live_run_of_another_encoder_stay(tmp_path):
    tables, other = make_lake(tmp_path), make_tables(tmp_path, revision="r2")
    file = Path(tables.table_uri(schema.FAILURES)) / "just-written.parquet"
    file.write_bytes(b"1")
    with lease.hold(other, "ingest", 0):
        assert maintaining._before(tables.lake) < maintaining.datetime.now(maintaining.UTC)
        with pytest.raises(JobError, match="is writing"):
            maintain(tables)
    assert file.exists()


def test_the_cache_of_assets_keeps_the_newest_row_of_each(tmp_path):
    tables = make_lake(tmp_path, DOCS, [Doc("a", "v2", "ggg"), *DOCS[1:]])
    uris = [row["uri"] for row in rows_of(tables, schema.ASSETS)]
    assert len(uris) == 5
    maintain(tables)
    rows = {row["uri"]: row["version"] for row in rows_of(tables, schema.ASSETS)}
    assert (len(rows_of(tables, schema.ASSETS)), rows) == (4, {"a": "v2", "b": "v1", "c": "v1", "d": "v1"})
    assert ingest(tables, [Doc("a", "v2", "ggg"), *DOCS[1:]]) == 0


def test_leftovers_of_killed_runs_go(tmp_path):
    tables = make_lake(tmp_path)
    left = [Path(tables.uri) / name for name in ("_lease/dead.json", "_inflight/unit", "indexes/half/index.faiss")]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"1")
        os.utime(path, (0, 0))
    index = Path(make_index(tables))
    maintain(tables)
    assert not any(path.exists() for path in left)
    assert (index / "index.faiss").exists()


def test_a_build_that_goes_on_keeps_what_it_made_hours_ago(tmp_path):
    tables = make_lake(tmp_path)
    old, young = (Path(tables.uri) / "indexes" / "building-1" / name for name in ("trained.faiss", "part-00007.faiss"))
    old.parent.mkdir(parents=True)
    for path in (old, young):
        path.write_bytes(b"1")
    os.utime(old, (0, 0))
    maintain(tables)
    assert old.exists()
    os.utime(young, (0, 0))
    maintain(tables)
    assert not old.exists()


def test_a_lake_of_evaluations_is_maintained_too(tmp_path):
    outer = make_lake(tmp_path)
    inner = make_lake(tmp_path / "evaluation", DOCS, CHANGED)
    result = maintain(outer, retention_hours=0)
    assert len(data_files(inner, schema.HIDDEN_STATES)) == 1
    assert f"evaluation/encoders/{inner.spec.full_name}/pooled" in result["tables"]
    assert whole(outer)["whole"]


def test_a_dry_run_says_what_would_go_and_touches_nothing(tmp_path):
    tables = make_lake(tmp_path, DOCS, CHANGED)
    before = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    found = maintaining.dry_run(Maintain(lake=Lake(uri=tables.lake.uri), retention_hours=0))
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == before
    assert found["states_to_sweep"] == 3
    assert found["files_to_rewrite"] > 5
    assert found["files_to_delete"] > 0


def test_files_of_an_older_release_lack_a_column_and_are_no_worse(tmp_path):
    tables = make_lake(tmp_path)
    evaluate(tables, "e1")
    [path] = data_files(tables, schema.EVALUATIONS)
    older = pq.read_table(path).drop_columns(["repeatable"])
    pq.write_table(older, path.with_name("older.parquet"))
    uri = tables.table_uri(schema.EVALUATIONS)
    file = table.File("older.parquet", path.with_name("older.parquet").stat().st_size, 1, table.stats(1))
    table.commit(table.open_table(uri), table.Change([file], [path.name], {}, {}))
    evaluate(tables, "e2")
    assert whole(tables)["whole"]
    maintain(tables)
    assert len(data_files(tables, schema.EVALUATIONS)) == 1
    assert {row["run_id"]: row["repeatable"] for row in rows_of(tables, schema.EVALUATIONS)} == {"e1": None, "e2": None}


def folders(tmp_path):
    return sorted(path.name for path in (tmp_path / "encoders").iterdir())


def test_an_encoder_is_dropped_with_its_failures_and_the_other_stays(tmp_path):
    tables, other = make_lake(tmp_path), make_tables(tmp_path, revision="r2")
    ingest(other, DOCS)
    make_index(tables)
    kept, name = states(other), tables.spec.full_name
    plan = maintaining.dry_run(Maintain(lake=Lake(uri=tables.lake.uri), drop=name))
    assert plan["files_to_delete"] == sum(path.is_file() for path in Path(tables.uri).rglob("*"))
    result = maintain(tables, drop=name)
    assert result["tables"][f"encoders/{name}/pooled"]["after"] is None
    assert folders(tmp_path) == [other.spec.full_name]
    assert {row["spec"] for row in rows_of(other, schema.FAILURES)} <= {None, other.spec.digest}
    assert states(other) == kept
    assert whole(other)["whole"]
    with pytest.raises(JobError, match="nothing is encoded with"):
        maintain(tables, drop=name)
    assert ingest(make_tables(tmp_path), DOCS) > 0, "it may begin anew"


def test_an_encoder_that_an_evaluation_pins_is_dropped_by_force_only(tmp_path):
    tables = make_lake(tmp_path)
    evaluate(tables, "e1")
    with pytest.raises(JobError, match=r"1 evaluations were made with it, e\.g\. run e1; force=true"):
        maintain(tables, drop=tables.spec.full_name)
    assert len(states(tables)) == 8
    maintain(tables, drop=tables.spec.full_name, force=True)
    assert folders(tmp_path) == []
    assert [row["repeatable"] for row in rows_of(tables, schema.EVALUATIONS)] == [False]


def test_a_drop_that_was_killed_is_finished_by_the_next_maintenance(tmp_path):
    tables = make_lake(tmp_path)

    def reached(step):
        if step == "retired":
            raise Killed

    with pytest.raises(Killed):
        maintain(tables, reached, drop=tables.spec.full_name)
    assert layout.encoders(tables.lake) == []
    assert folders(tmp_path) == [tables.spec.full_name]
    maintain(tables)
    assert folders(tmp_path) == []
    assert rows_of(tables, schema.FAILURES) == [row for row in rows_of(tables, schema.FAILURES) if row["spec"] is None]


@pytest.mark.parametrize(("stored", "wanted"), [("float32", "bf16"), ("float32", "int8"), ("int8", "binary")])
def test_states_are_transcoded_and_new_ones_follow(tmp_path, stored, wanted):
    tables = make_lake(tmp_path, codec=stored)
    before = StatesReader(layout.snapshot(tables))
    ids = np.array(sorted(row["segment_id"] for row in rows_of(tables, schema.POOLED)))
    expected = transcode(before.stored(ids), wanted)
    maintain(tables, codec=wanted)
    now = layout.open_encoder(tables.lake, tables.spec.full_name)
    assert now.codec == wanted
    assert StatesReader(layout.snapshot(now)).stored(ids).equals(expected)
    ingest(now, [*DOCS, Doc("later", "v1", "gg")])
    assert {row["codec"] for row in rows_of(now, schema.HIDDEN_STATES)} == {wanted}
    with pytest.raises(JobError, match=f"codec=float32: states are stored as {wanted}; expected a coarser codec"):
        maintain(tables, codec="float32")


def test_the_command_line(tmp_path, capfd):
    tables = make_lake(tmp_path, DOCS, CHANGED)
    assert cli.main(["maintain", f"lake={tables.lake.uri}", "--dry-run"]) == 0
    assert "states_to_sweep: 3" in capfd.readouterr().out
    assert cli.main(["maintain", f"lake={tables.lake.uri}", "encoder=minilm"]) == 1
    assert f"encoders there: {tables.spec.full_name}" in capfd.readouterr().err
    assert cli.main(["maintain", f"lake={tables.lake.uri}"]) == 0
    assert "3 unreferenced states swept" in capfd.readouterr().out
    assert cli.main(["maintain", f"lake={tables.lake.uri}", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["swept"] == 0
