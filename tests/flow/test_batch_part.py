"""What a worker of a batch search does with a part, without Ray: against single searches, and with bad queries."""

import json
import os
import pickle
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import tiny_vl
from asking import add, ask, files, filled, questions, segments
from jobs import run
from keeping import make_index
from PIL import Image

from smart_jobs import config, schema
from smart_jobs.encode import checkpoint
from smart_jobs.flow import batch_plan, batch_queries, batch_search
from smart_jobs.flow.batch_part import Worker
from smart_jobs.keys import Cut
from smart_jobs.lake import layout
from smart_jobs.records import JobError
from smart_jobs.settings import Search


@pytest.fixture(scope="module")
def lake(tmp_path_factory, tiny_encoder):
    folder = tmp_path_factory.mktemp("part") / "lake"
    filled(folder, tiny_encoder, segments())
    return folder


def job(lake, encoder, queries, out, *keys) -> Search:
    words = [f"lake={lake}", f"encoder={encoder}", f"queries={queries}", f"out={out}", *keys]
    return config.load(Search, "search", words)


def begun(asked: Search):
    """The plan pinned and an order for it, as the driver makes them."""
    work = batch_search._prepare(asked)
    plan = batch_plan.pin(work.out, work.plan.model_copy(update={"threads": 1}))
    return batch_search._order(replace(work, plan=plan))


def answered(asked: Search, numbers=None):
    """All parts, or these, done in this process; the worker."""
    worker = Worker(begun(asked))
    done = [worker.part(part) for part in batch_queries.parts(asked) if numbers is None or part.number in numbers]
    return worker, done


def hits(out) -> list[dict]:
    return [row for path in sorted(out.glob("part-*.parquet")) for row in pq.read_table(path).to_pylist()]


def failures(out) -> list[dict]:
    return [row for path in sorted(out.glob("failures-*.parquet")) for row in pq.read_table(path).to_pylist()]


@pytest.mark.parametrize(
    "keys",
    [[], ["candidates=7"], ["exhaustive=true"], ["where=page < 3 AND meta['tenant'] <> 'blue'", "candidates=5"],
     ["lambda_late=0.3", "k=3"]],
    ids=lambda keys: " ".join(keys) or "two stages",
)  # fmt: skip
def test_each_query_has_the_answer_of_a_single_search(tmp_path, lake, tiny_encoder, keys):
    asked = questions(13)
    out = tmp_path / "out"
    answered(job(lake, tiny_encoder, ask(tmp_path / "asked.parquet", asked), out, "part_queries=5", *keys))
    found = hits(out)
    good = [row for row in asked if row["text"].strip()]
    assert list(dict.fromkeys(row["query"] for row in found)) == [row["id"] for row in good]
    for row in good:
        mine = [hit for hit in found if hit["query"] == row["id"]]
        single = run("search", f"query={row['text']}", f"lake={lake}", f"encoder={tiny_encoder}", *keys)["hits"]
        for name in ("rank", "uri", "page", "start", "end"):
            assert [hit[name] for hit in mine] == [hit[name] for hit in single]
        assert [str(hit["segment_id"]) for hit in mine] == [hit["segment_id"] for hit in single]
        for name in ("score", "pooled", "late"):
            np.testing.assert_allclose([hit[name] for hit in mine], [hit[name] for hit in single], atol=2e-6)
    assert [(row["query"], row["step"], row["reason"]) for row in failures(out)] == [("q#10", "decode", "empty")]


def test_the_files_have_the_columns_that_the_schema_says(tmp_path, lake, tiny_encoder):
    out = tmp_path / "out"
    answered(job(lake, tiny_encoder, ask(tmp_path / "asked.jsonl", questions(12)), out))
    assert pq.read_schema(out / "part-00000.parquet").equals(schema.HITS.columns)
    assert pq.read_schema(out / "failures-00000.parquet").equals(schema.QUERY_FAILURES.columns)


def test_a_part_that_is_done_again_gives_the_same_bytes(tmp_path, lake, tiny_encoder):
    asked = job(lake, tiny_encoder, ask(tmp_path / "asked.parquet", questions(24)), tmp_path / "out", "part_queries=10")
    answered(asked)
    first = files(tmp_path / "out")
    assert {*first} == {"_search.json", "_recall.json", *(f"part-0000{n}.parquet" for n in range(3)),
                        "failures-00001.parquet", "failures-00002.parquet"}  # fmt: skip
    (tmp_path / "out" / "part-00001.parquet").unlink()
    (tmp_path / "out" / "failures-00001.parquet").unlink()
    answered(asked, {1})
    assert files(tmp_path / "out") == first
    assert not list((tmp_path / "out" / "_inflight").iterdir())


def test_failures_of_an_attempt_that_was_cut_off_are_not_left_behind(tmp_path, lake, tiny_encoder):
    """A query that could not be read then, and can now."""
    asked = job(lake, tiny_encoder, ask(tmp_path / "asked.jsonl", [{"id": "a", "text": "a river"}]), tmp_path / "out")
    begun(asked)
    (tmp_path / "out" / "failures-00000.parquet").write_bytes(b"of the attempt")
    answered(asked)
    assert {*files(tmp_path / "out")} == {"_search.json", "_recall.json", "part-00000.parquet"}


def test_a_part_of_bad_queries_alone_needs_no_model(tmp_path, lake, tiny_encoder):
    table = ask(tmp_path / "asked.jsonl", [{"id": n, "text": " "} for n in range(3)])
    worker, [done] = answered(job(lake, tiny_encoder, table, tmp_path / "out"))
    assert (done.queries, done.failures, worker._model) == (3, 3, None)
    assert (hits(tmp_path / "out"), len(failures(tmp_path / "out"))) == ([], 3)


def test_recall_under_the_filter_is_that_of_the_first_queries(tmp_path, lake, tiny_encoder):
    table = ask(tmp_path / "asked.jsonl", questions(24))
    where = "where=media = 'document'"
    answered(job(lake, tiny_encoder, table, tmp_path / "all", where, "candidates=20", "part_queries=10"))
    found = json.loads((tmp_path / "all" / "_recall.json").read_text())
    assert found == {"recall": 1.0, "nearest": 10, "queries": 10, "segments": 21}
    answered(job(lake, tiny_encoder, table, tmp_path / "few", where, "candidates=5", "part_queries=10"))
    assert json.loads((tmp_path / "few" / "_recall.json").read_text())["recall"] == 0.5
    answered(job(lake, tiny_encoder, table, tmp_path / "each", where, "exhaustive=true"))
    answered(job(lake, tiny_encoder, table, tmp_path / "none", "where=media = 'video'"))
    assert not [*tmp_path.glob("each/_recall.json"), *tmp_path.glob("none/_recall.json")]
    assert hits(tmp_path / "none") == []


def test_a_node_that_does_not_see_the_output_is_named(tmp_path, lake, tiny_encoder):
    order = begun(job(lake, tiny_encoder, ask(tmp_path / "asked.jsonl", questions(2)), tmp_path / "out"))
    (tmp_path / "out" / "_search.json").unlink()
    with pytest.raises(JobError, match=r"out=.*out: node .* does not see it; put it where every node does"):
        Worker(order)


# Queries with pictures


@pytest.fixture(scope="module")
def seeing(tmp_path_factory):
    """A lake of a model that sees, filled with texts, and the keys that name it."""
    folder = tmp_path_factory.mktemp("seeing")
    config_of = tiny_vl.encoder(tiny_vl.checkpoint(folder / "model", "qwen3_vl"), "qwen3_vl")
    conf = tiny_vl.conf(folder, config_of)
    spec, where = checkpoint.resolve(config_of, Cut())
    tables = layout.create_encoder(layout.create_lake(str(folder / "lake")), spec, "int8")
    add(tables, where, segments(12))
    make_index(tables)
    return [f"lake={folder / 'lake'}", f"conf={conf}", "encoder=tiny-qwen3_vl"]


def test_a_picture_is_seen_as_in_a_single_search_and_a_broken_one_costs_itself(tmp_path, seeing):
    pixels = np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "good.png")
    (tmp_path / "broken.png").write_bytes((tmp_path / "good.png").read_bytes()[:300])
    rows = [
        {"id": "text", "text": "a river"},
        {"id": "picture", "text": "", "file": "good.png"},
        {"id": "broken", "text": "a lake", "file": "broken.png"},
        {"id": "gone", "text": "a lake", "file": "gone.png"},
        {"id": "both", "text": "a river", "file": "good.png"},
    ]
    words = [*seeing, f"queries={ask(tmp_path / 'asked.jsonl', rows)}", "columns.image=file", f"out={tmp_path}/out"]
    answered(config.load(Search, "search", words))
    found = hits(tmp_path / "out")
    assert {row["query"]: row["reason"] for row in failures(tmp_path / "out")} == {
        "broken": "damaged", "gone": "read_error"
    }  # fmt: skip
    for name, *keys in (["text", "query=a river"], ["picture", f"image={tmp_path}/good.png"],
                        ["both", "query=a river", f"image={tmp_path}/good.png"]):  # fmt: skip
        single = run("search", *seeing, *keys)["hits"]
        mine = [row for row in found if row["query"] == name]
        assert [str(row["segment_id"]) for row in mine] == [hit["segment_id"] for hit in single]
        np.testing.assert_allclose([row["score"] for row in mine], [hit["score"] for hit in single], atol=2e-5)


# Queries that kill


POISON = "poison"


class Deadly:
    """A model that takes its process with it."""

    def __init__(self, model):
        self._model = model

    def encode(self, asked):
        if any(segment.text == POISON for segment in asked):
            os.kill(os.getpid(), signal.SIGKILL)
        return self._model.encode(asked)


def work(order: str) -> None:
    """What a worker does with the first part, in a process that may die of it."""
    made = Worker(pickle.loads(Path(order).read_bytes()))
    made._model = Deadly(made._load())
    part = pickle.loads(Path(order).with_suffix(".part").read_bytes())
    made.part(part)


@pytest.mark.slow
def test_a_query_that_kills_its_workers_is_found_and_the_others_are_answered(tmp_path, lake, tiny_encoder):
    rows = [{"id": str(n), "text": POISON if n == 2 else f"a river {n}"} for n in range(4)]
    asked = job(lake, tiny_encoder, ask(tmp_path / "asked.jsonl", rows), tmp_path / "out")
    (tmp_path / "order").write_bytes(pickle.dumps(begun(asked)))
    (tmp_path / "order.part").write_bytes(pickle.dumps(next(batch_queries.parts(asked))))
    code = "import sys; from flow.test_batch_part import work; work(sys.argv[1])"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    statuses = []
    while not statuses or statuses[-1]:
        done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "order")], env=environment, check=False)
        statuses.append(done.returncode)
        assert len(statuses) < 9
    assert statuses == [-signal.SIGKILL] * 3 + [0]
    assert [(row["query"], row["reason"]) for row in failures(tmp_path / "out")] == [("2", "worker_died")]
    assert {row["query"] for row in hits(tmp_path / "out")} == {"0", "1", "3"}
