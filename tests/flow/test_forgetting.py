"""A forgotten asset is in no file any more: every one that is left is opened and searched for all that it left."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from keeping import DOCS, data_files, evaluate, ingest, make_index, make_lake, replace_file, states
from lake_making import Doc, Run, content, failure_row, make_committer, make_tables, rows_of

from smart_jobs import cli, schema
from smart_jobs.flow import forgetting, maintaining, verifying
from smart_jobs.index import build, manifest, refresh
from smart_jobs.keys import Lake
from smart_jobs.lake import groups, layout, lease
from smart_jobs.records import JobError, asset_id
from smart_jobs.settings import Forget, Maintain, Verify
from smart_jobs.upkeep import forgotten
from smart_jobs.upkeep import verify_indexes as indexes

URI = "/made/secret-48151623.txt"
TEXT = "the-text-of-the-secret-42108"
OLD = [*DOCS, Doc(URI, "v1", "ggb")]
NEW = [*DOCS, Doc(URI, "v2", "gggg")]
GONE = [*DOCS]


class Killed(BaseException):
    """Passes every `except Exception`, as a kill does."""


def forget(tables, reached=lambda _step: None, asset=URI):
    return forgetting.run(Forget(asset=asset, lake=Lake(uri=tables.lake.uri)), reached)


def maintain(tables, **options):
    return maintaining.run(Maintain(lake=Lake(uri=tables.lake.uri), **options))


def whole(tables):
    return verifying.run(Verify(lake=Lake(uri=tables.lake.uri)))


def tell_text(tables):
    """Let pooled's rows of the asset hold its text, as an excerpt does."""
    for path in data_files(tables, schema.POOLED):
        rows = pq.read_table(path).select(schema.POOLED.columns.names).cast(schema.POOLED.columns).to_pylist()
        if any(row["uri"] == URI for row in rows):
            told = [{**row, "text": TEXT if row["uri"] == URI else row["text"]} for row in rows]
            replace_file(tables, schema.POOLED, path, pa.Table.from_pylist(told, schema=schema.POOLED.columns))


def traces(tables):
    """All by which the asset could be recognised: names, text, segment ids, vectors, states; as bytes."""
    rows = [row for row in rows_of(tables, schema.POOLED) if row["uri"] == URI]
    stored = states(tables)
    found = [URI.encode(), asset_id(URI).encode(), TEXT.encode()]
    found += [row["segment_id"].to_bytes(8, "little") for row in rows]
    found += [np.array(row["pooled"], np.float32).tobytes() for row in rows]
    return [*found, *(stored[row["segment_id"]] for row in rows)]


def in_words(path):
    """A file's bytes, and for Parquet all its values, however they are compressed."""
    data = [path.read_bytes()]
    if path.suffix == ".parquet":
        for row in pq.read_table(path).to_pylist():
            for value in row.values():
                data.append(value if isinstance(value, bytes) else str(value).encode())
                data += [value.to_bytes(8, "little", signed=True)] if isinstance(value, int) else []
                data += [np.array(value, np.float32).tobytes()] if isinstance(value, list) and value and isinstance(
                    value[0], float) else []  # fmt: skip
    return b"\n".join(data)


def files_with(folder, needles):
    files = (path for path in Path(folder).rglob("*") if path.is_file())
    return {str(path.relative_to(folder)) for path in files if any(needle in in_words(path) for needle in needles)}


def laden(folder):
    """A lake with the asset in two versions, in failures, an index, an evaluation; what it left of itself."""
    tables = make_lake(folder, OLD)
    tell_text(tables)
    needles = traces(tables)
    evaluate(tables, "e1", hits=("b", f"{URI}#page=1", "d"))
    make_index(tables, "older")
    ingest(tables, NEW)
    tell_text(tables)
    make_index(tables)
    return tables, needles + traces(tables)


def test_nothing_of_it_is_left_in_any_file(tmp_path):
    tables, needles = laden(tmp_path)
    with_it = files_with(tmp_path, needles)
    for part in ("pooled", "hidden_states", "_offsets", "indexes", "failures", "assets", "evaluation_queries"):
        assert any(f"{part}/" in name for name in with_it), part
    result = forget(tables)
    assert (result["segments"], result["evaluations"], result["indexes"], result["hits"]) == (4, 1, 2, 1)
    assert whole(tables)["whole"]
    assert files_with(tmp_path, needles), "older versions stay until the next maintain"
    maintain(tables)
    assert files_with(tmp_path, needles) == set()
    assert forgotten.marked(tables.lake) == []
    found = whole(tables)
    assert (found["whole"], found["unreferenced"]) == (True, 0)


def test_the_others_are_what_they_were(tmp_path):
    tables, _ = laden(tmp_path / "with")
    without = make_lake(tmp_path / "without")
    forget(tables)
    maintain(tables)
    assert content(tables) == content(without)
    assert states(tables) == states(without)
    assert ingest(tables, GONE) == 0
    assert ingest(tables, NEW) == 4, "its source still has it"


def test_evaluations_that_saw_it_are_marked_and_others_are_not(tmp_path):
    tables = make_lake(tmp_path, DOCS)
    evaluate(tables, "before", hits=("b",))
    ingest(tables, OLD)
    evaluate(tables, "with", hits=(f"{URI}#page=7", "b", URI))
    forget(tables)
    evaluate(tables, "after", hits=("b",))
    told = {row["run_id"]: row["repeatable"] for row in rows_of(tables, schema.EVALUATIONS)}
    assert told == {"before": None, "with": False, "after": None}
    hits = {row["run_id"]: (row["hits"], row["scores"]) for row in rows_of(tables, schema.EVALUATION_QUERIES)}
    assert hits == {"before": (["b"], [1.0]), "with": (["b"], [1.0]), "after": (["b"], [1.0])}
    maintain(tables, retention_hours=0)
    assert whole(tables)["whole"]


def test_an_index_finds_all_others_and_not_this_one(tmp_path):
    tables, _ = laden(tmp_path)
    forget(tables)
    folder, made = manifest.newest(f"{tables.uri}/indexes")
    rows = rows_of(tables, schema.POOLED)
    index = build.load(manifest.read_index_bytes(folder, made))
    ids = index.search(np.array([row["pooled"] for row in rows], np.float32), 1)[1][:, 0]
    assert ids.tolist() == [row["segment_id"] for row in rows]
    assert (made.vectors, index.ntotal) == (len(rows), len(rows))
    assert made.built_from.version == layout.snapshot(tables).pooled.version()
    assert len(indexes.folders(f"{tables.uri}/indexes")) == 2


def test_what_an_unfinished_build_left_goes_too(tmp_path):
    tables, _ = laden(tmp_path)
    left = Path(tables.uri) / "indexes" / "building-1" / "part-00000.faiss"
    left.parent.mkdir()
    left.write_bytes(b"codes")
    forget(tables)
    assert not left.exists()


def test_an_index_of_packed_codes_is_filled_again(tmp_path):
    """Removing from such codes gives wrong answers in faiss 1.15.1."""
    tables = make_lake(tmp_path)
    folder = make_index(tables)
    made = manifest.read(folder).model_copy(update={"index_id": "fs", "factory": "IVF8,PQ8x4fs", "dim": 16})
    random = np.random.default_rng(0)
    vectors = random.standard_normal((1_200, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = np.arange(1_200, dtype=np.int64)
    index = build.build(ids, vectors, build.plan(1_200, 16, "IVF8,PQ8x4fs"))
    files = {"index.faiss": build.save(index)}
    manifest.write(f"{tables.uri}/indexes/fs", made.model_copy(update={"files": manifest.entries(files)}), files)
    new = refresh.refresh(f"{tables.uri}/indexes/fs", ids[200:], vectors[200:], made.built_from, made.hidden_states)
    loaded = build.load(manifest.read_index_bytes(f"{tables.uri}/indexes/{new.index_id}", new))
    index.reset()
    index.add_with_ids(vectors[200:], ids[200:])
    params = build.search_parameters(loaded, 8)
    wanted, got = (each.search(vectors[:100], 10, params=params) for each in (index, loaded))
    assert (wanted[1] == got[1]).all()
    assert (got[1] >= 200).all()


def test_an_inverted_file_is_written_again_without_training(tmp_path):
    random = np.random.default_rng(0)
    vectors = random.standard_normal((1200, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = random.permutation(10**6)[:1200].astype(np.int64)
    index = build.build(ids[:1000], vectors[:1000], build.plan(1000, 16, "IVF8,PQ8x4np"))
    assert sorted(refresh.ids_of(index)) == sorted(ids[:1000])
    tables = make_lake(tmp_path)
    folder = make_index(tables)
    made = manifest.read(folder)
    files = {"index.faiss": build.save(index)}
    again = made.model_copy(update={"index_id": "ivf", "files": manifest.entries(files)})
    manifest.write(f"{tables.uri}/indexes/ivf", again, files)
    new = refresh.refresh(f"{tables.uri}/indexes/ivf", ids[200:], vectors[200:], made.built_from, made.hidden_states)
    loaded = build.load(manifest.read_index_bytes(f"{tables.uri}/indexes/{new.index_id}", new))
    assert sorted(refresh.ids_of(loaded)) == sorted(ids[200:])
    fresh = build.build(ids[:1000], vectors[:1000], build.plan(1000, 16, "IVF8,PQ8x4np"))
    fresh.remove_ids(ids[:200])
    fresh.add_with_ids(vectors[1000:], ids[1000:])
    wanted, got = fresh.search(vectors[:50], 5), loaded.search(vectors[:50], 5)
    assert (wanted[1] == got[1]).all()


@pytest.mark.slow
def test_killed_at_any_step_it_is_finished_by_repeating_it(tmp_path):
    counted, _ = laden(tmp_path / "counted")
    steps = []
    forget(counted, steps.append)
    maintain(counted)
    for at in range(steps.index("fenced"), len(steps), 3):
        tables, needles = laden(tmp_path / str(at))
        left = iter(range(len(steps)))

        def reached(step, at=at, left=left):
            if next(left) == at:
                raise Killed

        with pytest.raises(Killed):
            forget(tables, reached)
        forget(tables)
        maintain(tables)
        assert files_with(tmp_path / str(at), needles) == set(), steps[at]
        assert content(tables) == content(counted), steps[at]
        assert whole(tables)["whole"]


def test_rows_that_wait_and_files_of_a_killed_run_go_too(tmp_path):
    tables = make_lake(tmp_path, OLD)
    seen = []

    def reached(step):
        seen.append(step)
        if seen.count("pending removed") == 2:
            raise Killed

    with pytest.raises(Killed), lease.hold(tables, "ingest", 0) as held:
        Run(unit=1).ingest(tables, [Doc(URI, "v2", "gggg"), *DOCS], held.epoch, reached)
    waiting = groups.unfinished(tables).rows
    assert set(waiting["uri"].to_pylist()) == {URI}
    needles = [URI.encode(), *(name.to_bytes(8, "little") for name in waiting["segment_id"].to_pylist())]
    assert any("_pending" in name for name in files_with(tmp_path, needles))
    forget(tables)
    maintain(tables)
    assert files_with(tmp_path, needles) == set()
    assert not groups.unfinished(tables).rows.num_rows
    assert whole(tables)["whole"]


def test_all_encoders_forget_it_and_the_lake_of_evaluations(tmp_path):
    one, other, inner = make_lake(tmp_path, OLD), make_tables(tmp_path, revision="r2"), tmp_path / "evaluation"
    ingest(other, OLD)
    own = make_lake(inner, OLD)
    needles = traces(one)
    forget(one)
    maintain(one)
    assert files_with(tmp_path, needles) == set()
    assert {tables.spec.digest: len(states(tables)) for tables in (one, other, own)} == {
        one.spec.digest: 8,
        other.spec.digest: 8,
    }


def test_failures_with_excerpts_go_at_every_encoder(tmp_path):
    tables = make_lake(tmp_path)
    committer = make_committer(tables, 2)
    rows = [failure_row(asset_id(URI), "v1", uri=URI, detail=TEXT, spec=spec) for spec in (None, "other", "x")]
    layout.append(tables.lake, schema.FAILURES, rows, "made")
    assert committer.counts.failures == 0
    assert forget(tables)["failures"] == 3
    maintain(tables)
    assert files_with(tmp_path, [URI.encode(), TEXT.encode(), asset_id(URI).encode()]) == set()


def test_what_an_older_version_alone_has_is_forgotten_too(tmp_path):
    tables = make_lake(tmp_path, OLD)
    needles = traces(tables)
    evaluate(tables, "e1")
    with lease.hold(tables, "ingest", 0) as held:
        make_committer(tables, held.epoch).remove([asset_id(URI)])
    assert URI not in {row["uri"] for row in rows_of(tables, schema.POOLED)}
    assert forget(tables)["segments"] == 0
    maintain(tables)
    assert files_with(tmp_path, needles) == set()


def test_an_asset_that_the_lake_never_had_is_one_line_and_exit_code_1(tmp_path, capfd):
    tables = make_lake(tmp_path)
    with pytest.raises(JobError, match=r"asset=/nowhere: lake .* has nothing of it"):
        forget(tables, asset="/nowhere")
    assert cli.main(["forget", "asset=/nowhere", f"lake={tables.lake.uri}"]) == 1
    assert len(capfd.readouterr().err.splitlines()) == 1
    assert not forgotten.marked(tables.lake)


def test_the_command_line_takes_a_path_as_the_source_had_it(tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tables = make_lake(tmp_path / "lake", [*DOCS, Doc(str(tmp_path / "mine.txt"), "v1", "gg")])
    assert cli.main(["forget", "asset=./mine.txt", "lake=./lake", "--dry-run"]) == 0
    assert len(states(tables)) == 10
    assert cli.main(["forget", "asset=./mine.txt", "lake=./lake"]) == 0
    assert "the next ingest brings it back" in capfd.readouterr().out
    assert len(states(tables)) == 8
    assert cli.main(["forget", "asset=./mine.txt", "lake=./lake", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["segments"] == 0
