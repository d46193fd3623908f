"""Batch search as a job: on a real Ray, kept and gone on with, refused where it is another."""

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from asking import add, ask, files, filled, questions, segments
from ingesting import without_ray
from jobs import as_json, run, smart_jobs
from keeping import make_index

from smart_jobs import cli, config, settings, storage
from smart_jobs.flow import batch_plan, batch_search, searching
from smart_jobs.records import JobError, UsageError
from smart_jobs.search import answers, hybrid

SUMMARY = {"encoder", "index", "queries", "parts", "kept", "failures", "failed_by_reason", "recall", "out", "seconds"}


@pytest.fixture
def lake(tmp_path, tiny_encoder):
    tables = filled(tmp_path / "lake", tiny_encoder, segments())
    return tables, [f"lake={tmp_path}/lake", f"encoder={tiny_encoder}", "part_queries=10"]


def words(tmp_path, keys, *more, out="out"):
    return [*keys, f"queries={tmp_path}/asked.parquet", f"out={tmp_path}/{out}", *more]


@pytest.mark.ray
def test_a_table_is_answered_once_and_kept(tmp_path, lake, cluster):
    ask(tmp_path / "asked.parquet", questions(45))
    first = run("search", *words(tmp_path, lake[1], "cluster.encode_actors=2", "cluster.encode_threads=1"))
    assert set(first) == SUMMARY
    assert (first["queries"], first["parts"], first["kept"]) == (45, 5, 0)
    assert (first["failures"], first["failed_by_reason"]) == (4, {"empty": 4})
    assert first["recall"]["recall"] == 1.0
    assert set(first["seconds"]) == {"plan", "encode", "search", "write", "stream", "total"}
    before = files(tmp_path / "out")
    assert not (tmp_path / "out" / "_inflight").exists()
    again = run("search", *words(tmp_path, lake[1]))
    assert (again["kept"], again["failures"], "stream" in again["seconds"]) == (5, 4, False)
    alone = run("search", *words(tmp_path, lake[1], "cluster.encode_threads=1", out="alone"))
    assert alone["kept"] == 0
    assert files(tmp_path / "out") == before == files(tmp_path / "alone")


def test_what_is_missing_is_done_at_the_versions_that_were_pinned(tmp_path, lake, tiny_encoder, in_process):
    """The lake has more since, and a newer index over it."""
    tables, keys = lake
    ask(tmp_path / "asked.parquet", questions(25))
    run("search", *words(tmp_path, keys))
    before = files(tmp_path / "out")
    for name in ("part-00001.parquet", "part-00002.parquet", "failures-00001.parquet", "_recall.json"):
        (tmp_path / "out" / name).unlink()
    add(tables, tiny_encoder, segments(90)[60:], 2)
    make_index(tables, "newer")
    after = run("search", *words(tmp_path, keys))
    assert (after["kept"], after["index"]) == (1, "made")
    assert files(tmp_path / "out") == {name: data for name, data in before.items() if name != "_recall.json"}
    assert run("search", *words(tmp_path, keys, out="later"))["index"] == "newer"
    later = files(tmp_path / "later")
    assert [name for name in later if name.startswith("part") and later[name] != before[name]]


@pytest.mark.ray
def test_an_error_on_a_worker_is_one_line_and_what_is_done_stays(tmp_path, lake, cluster):
    tables, keys = lake
    ask(tmp_path / "asked.parquet", questions(25))
    with without_ray():
        run("search", *words(tmp_path, keys))
    (tmp_path / "out" / "part-00001.parquet").unlink()
    kept = files(tmp_path / "out")
    index = Path(tables.uri) / "indexes" / "made" / "index.faiss"
    good = index.read_bytes()
    index.write_bytes(good[:100])
    with pytest.raises(JobError, match=r"index\.faiss is damaged: 100 bytes instead of"):
        run("search", *words(tmp_path, keys))
    assert files(tmp_path / "out") == kept
    index.write_bytes(good)
    with without_ray():
        assert run("search", *words(tmp_path, keys))["kept"] == 2


def test_other_settings_and_other_queries_are_refused_and_nothing_is_overwritten(tmp_path, lake):
    """Before anything is started."""
    _, keys = lake
    asked = ask(tmp_path / "asked.parquet", questions(25))
    work = batch_search._prepare(config.load(settings.Search, "search", words(tmp_path, keys)))
    batch_plan.pin(work.out, work.plan)
    before = files(tmp_path / "out")
    for more, said in (("k=5", "k=10 there, k=5 now"), ("where=page = 1", "where=None there"),
                       ("exhaustive=true", "exhaustive=False there, exhaustive=True now")):  # fmt: skip
        with pytest.raises(UsageError, match=said):
            run("search", *words(tmp_path, keys, more))
    ask(asked, questions(24))
    with pytest.raises(UsageError, match="queries=25 there, queries=24 now; the queries are not the same"):
        run("search", *words(tmp_path, keys))
    assert files(tmp_path / "out") == before


def test_versions_that_are_gone_are_one_line(tmp_path, lake):
    tables, keys = lake
    ask(tmp_path / "asked.parquet", questions(25))
    work = batch_search._prepare(config.load(settings.Search, "search", words(tmp_path, keys)))
    for path in Path(tables.uri, "pooled").glob("*.parquet"):
        path.unlink()
    with pytest.raises(JobError, match=r"version \d of pooled, which its parts were made from, is gone"):
        work.lake()


def test_a_dry_run_says_what_it_would_do_and_writes_nothing(tmp_path, lake):
    _, keys = lake
    ask(tmp_path / "asked.parquet", questions(25))
    job = config.load(settings.Search, "search", words(tmp_path, keys, "candidates=7", "where=page = 1"))
    found = searching.dry_run(job)
    assert {name: found[name] for name in ("queries", "parts", "there", "segments", "index", "exactly_scored")} == {
        "queries": 25, "parts": 3, "there": 0, "segments": 20, "index": "made", "exactly_scored": 7
    }  # fmt: skip
    assert found["worker_bytes"]["vectors_on_disk"] == 60 * 32 * 4
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["queries=./asked.parquet"], "out: missing; queries=FILE wants out=FOLDER for the answers"),
        (
            ["a", "queries=./asked.parquet", "out=./out"],
            "queries=./asked.parquet: give a table of queries or one query",
        ),
        (["a", "out=./out"], "out: only queries=FILE takes it"),
        (["a", "columns.id=x"], "columns: only queries=FILE takes it"),
        (["queries=./nowhere.parquet", "out=./out"], "nothing there; expected a file"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(tmp_path, lake, monkeypatch, capfd, more, said):
    monkeypatch.chdir(tmp_path)
    keys = [key for key in lake[1] if not key.startswith("part")]
    assert cli.main(["search", *more, *keys]) == cli.USAGE
    [line] = capfd.readouterr().err.splitlines()
    assert said in line


@pytest.mark.ray
def test_the_command_and_what_it_prints(tmp_path, lake, shared_ray):
    """A process of its own; failed queries are exit code 3."""
    ask(tmp_path / "asked.jsonl", [{"qid": "x", "ask": "a river"}, {"qid": "y", "ask": ""}])
    keys = [
        *lake[1],
        "queries=asked.jsonl",
        "columns.id=qid",
        "columns.text=ask",
        "out=out",
        "where=media = 'document'",
    ]
    code, out, err = smart_jobs("search", *keys, cwd=tmp_path)
    assert code == cli.WITH_FAILURES, err
    assert out.splitlines()[0].startswith(f"2 queries answered in 1 parts, in {tmp_path}/out")
    assert "1 failures: empty 1" in out
    assert "of the exact ten nearest, stage one passes on 1.000" in out
    assert {row["query"] for row in pq.read_table(tmp_path / "out" / "part-00000.parquet").to_pylist()} == {"x"}
    code, out, _ = smart_jobs("search", *keys, "--dry-run", cwd=tmp_path)
    assert (code, "there: 1" in out) == (0, True)


@pytest.mark.ray
@pytest.mark.slow
def test_answers_on_an_object_store_are_those_of_a_disk(tmp_path, lake, bucket, in_process):
    """Also when a part is missing. The first from a Ray of its own, which has the store's environment."""
    ask(tmp_path / "asked.parquet", questions(25))
    threads = "cluster.encode_threads=1"
    run("search", *words(tmp_path, lake[1], threads))
    on_store = [*lake[1], f"queries={tmp_path}/asked.parquet", f"out={bucket}/answers", threads]
    assert as_json("search", *on_store)[0] == cli.WITH_FAILURES

    def stored():
        found = [uri for uri, _ in storage.list_files(f"{bucket}/answers")]
        return {uri.rpartition("/")[2]: storage.read_bytes(uri) for uri in found}

    assert stored() == files(tmp_path / "out")
    storage.delete(f"{bucket}/answers/part-00001.parquet")
    assert run("search", *on_store)["kept"] == 2
    assert stored() == files(tmp_path / "out")


def test_the_lake_that_is_asked_from_python(tmp_path, lake, tiny_encoder):
    """As README has it; the answers are those of the command."""
    seen = searching.lake(f"{tmp_path}/lake", str(tiny_encoder))
    texts = ["a river", "a stone bridge"]
    hits = hybrid.search(seen, texts, k=4, where="meta['tenant'] = 'acme'")
    rows = answers.table(seen.rows, texts, hits)
    assert isinstance(rows, pa.Table)
    for text in texts:
        mine = [row for row in rows.to_pylist() if row["query"] == text]
        single = run("search", f"query={text}", *lake[1][:2], "k=4", "where=meta['tenant'] = 'acme'")["hits"]
        assert [str(row["segment_id"]) for row in mine] == [hit["segment_id"] for hit in single]
        assert [row["score"] for row in mine] == pytest.approx([hit["score"] for hit in single], abs=2e-6)
    with pytest.raises(UsageError, match="unknown key"):
        searching.lake(f"{tmp_path}/lake", str(tiny_encoder), "kk=4")
    shutil.rmtree(tmp_path / "lake")
    with pytest.raises(JobError, match="no lake there"):
        searching.lake(f"{tmp_path}/lake", str(tiny_encoder))
