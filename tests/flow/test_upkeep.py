"""A lake made by the jobs themselves is verified, maintained, made to forget, broken, and healed by the next ingest."""

import json

import pytest
from jobs import as_json, run
from keeping import data_files, make_lake

from smart_jobs import schema
from smart_jobs.flow import forgetting, maintaining, status, verifying
from smart_jobs.keys import Lake
from smart_jobs.lake import table
from smart_jobs.settings import Forget, Maintain, Status, Verify

SUBJECTS = ["rivers", "bridges", "engines", "gardens", "harbours"]


@pytest.fixture
def keys(tmp_path, tiny_encoder, monkeypatch):
    """A folder with documents and a suite over them; the words that name encoder and lake."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    (tmp_path / "suite" / "qrels").mkdir(parents=True)
    for name in SUBJECTS:
        (tmp_path / "docs" / f"{name}.txt").write_text(f"A text about {name}, and {name} only. " * 3)
    queries = "".join(json.dumps({"_id": name, "text": f"about {name}"}) + "\n" for name in SUBJECTS)
    (tmp_path / "suite" / "queries.jsonl").write_text(queries)
    judged = "".join(f"{name}\t{name}.txt\t1\n" for name in SUBJECTS)
    (tmp_path / "suite" / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged)
    return [f"encoder={tiny_encoder}", "lake=./lake"]


def verified(**options):
    return verifying.run(Verify(lake=Lake(uri="./lake"), **options))


def untimed(scores):
    """What tasks scored, without how long it took."""
    return {
        name: {key: value for key, value in task.items() if key != "seconds"} for name, task in scores["tasks"].items()
    }


def held():
    """The indexes of the lake."""
    return status.run(Status(lake=Lake(uri="./lake")))["encoders"][0]["indexes"]


def judged(scores):
    """What the manifest of the index has of an evaluation."""
    [(name, task)] = scores["tasks"].items()
    found = {"run_id": scores["run_id"], "queries": 5, "candidates": 200}
    both = {"exhaustive": task["hybrid"]["ndcg@10"], "two_stage": task["two_stage"]["ndcg@10"]}
    return {f"beir/{name}": {**found, **{key: pytest.approx(value, abs=1e-6) for key, value in both.items()}}}


def test_a_lake_through_its_life(in_process, tmp_path, keys):
    run("ingest", "source=./docs", *keys)
    run("index", *keys)
    scores = run("evaluate", "suite=beir", "suite.path=suite", "suite.candidates=lake", *keys)
    [made] = held()
    assert made["judged"] == judged(scores)
    whole = verified()
    assert (whole["counts"], whole["checked"]["segments"], whole["checked"]["evaluations"]) == ({}, 15, 1)
    maintaining.run(Maintain(lake=Lake(uri="./lake"), retention_hours=0))
    again = run("evaluate", "suite=beir", "suite.path=suite", "suite.candidates=lake", *keys)
    assert untimed(again) == untimed(scores)
    [made] = held()
    assert made["judged"] == judged(again), "the last evaluation's, once"
    before = run("search", "query=about bridges", *keys)["hits"]
    gone = forgetting.run(Forget(asset="docs/bridges.txt", lake=Lake(uri="./lake")))
    assert (gone["segments"], gone["indexes"], gone["evaluations"]) == (2, 1, 2)
    assert gone["hits"] > 0
    maintaining.run(Maintain(lake=Lake(uri="./lake")))
    hits = table.read(table.open_table("lake/evaluation_queries"), ["hits"])["hits"].to_pylist()
    assert {hit for row in hits for hit in row} == {f"{name}.txt" for name in SUBJECTS if name != "bridges"}
    after = run("search", "query=about bridges", *keys)["hits"]
    assert {hit["uri"] for hit in after} == {hit["uri"] for hit in before if "bridges" not in hit["uri"]}
    assert verified()["whole"]
    [pooled] = list((tmp_path / "lake" / "encoders").glob("*/pooled"))
    next(path for path in pooled.glob("*.parquet")).unlink()
    assert set(verified(repair=True)["counts"]) == {"missing_file", "index_pin"}
    assert run("ingest", "source=./docs", *keys)["encoded"] == 10, "its source still has what was forgotten"
    assert verified()["whole"]


def test_the_verbs_as_processes_without_ray(tmp_path):
    tables = make_lake(tmp_path / "lake")
    options = {"cwd": tmp_path}
    code, found = as_json("verify", "lake=./lake", **options)
    assert (code, found["whole"]) == (0, True)
    code, done = as_json("maintain", "lake=./lake", **options)
    assert (code, set(done)) == (0, {"lake", "tables", "swept", "deleted", "commits_trimmed"})
    code, gone = as_json("forget", "asset=a", "lake=./lake", **options)
    assert (code, gone["segments"]) == (0, 3)
    data_files(tables, schema.HIDDEN_STATES)[0].unlink()
    code, found = as_json("verify", "lake=./lake", **options)
    assert (code, found["whole"]) == (1, False)
