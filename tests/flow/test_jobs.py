"""The jobs as a user runs them: ingest, index, search, evaluate, status, each a process of its own."""

import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from jobs import as_json, smart_jobs
from ray.cluster_utils import Cluster

ROOT = Path(__file__).resolve().parents[2]
NOISE = 'import sys\nif "default_worker.py" in " ".join(sys.orig_argv):\n    print("noise", flush=True)\n'


@pytest.fixture(scope="module")
def where(tmp_path_factory, tiny_encoder) -> Iterator[tuple[Path, dict[str, str], list[str]]]:
    """A folder with documents and a suite over them, an environment with a Ray whose workers all print, common keys."""
    folder = tmp_path_factory.mktemp("jobs")
    (folder / "docs").mkdir()
    (folder / "suite" / "qrels").mkdir(parents=True)
    subjects = ["rivers", "bridges", "engines", "gardens", "harbours"]
    for name in subjects:
        (folder / "docs" / f"{name}.txt").write_text(f"A text about {name}, and {name} only. " * 3)
    (folder / "docs" / "bad.pdf").write_bytes(b"")
    queries = "".join(json.dumps({"_id": name, "text": f"about {name}"}) + "\n" for name in subjects)
    (folder / "suite" / "queries.jsonl").write_text(queries)
    judged = "".join(f"{name}\t{name}.txt\t1\n" for name in subjects)
    (folder / "suite" / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged)
    (folder / "site").mkdir()
    (folder / "site" / "sitecustomize.py").write_text(NOISE)
    path = os.pathsep.join([str(folder / "site"), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", path)
        started = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    environment = {**os.environ, "PYTHONPATH": path, "RAY_ADDRESS": started.address}
    yield folder, environment, [f"encoder={tiny_encoder}", "lake=./lake"]
    started.shutdown()


def test_every_verb_prints_one_json_object_while_workers_print(where):
    folder, environment, keys = where
    options = {"cwd": folder, "env": environment}
    code, plan = as_json("ingest", "source=./docs", *keys, "--dry-run", **options)
    assert (code, plan["assets"], plan["to_open"]) == (0, 6, 6)
    alone = {name: value for name, value in environment.items() if name != "RAY_ADDRESS"}
    code, done = as_json("ingest", "source=./docs", *keys, cwd=folder, env=alone)  # with a Ray of its own
    assert (code, done["assets"], done["failed_by_reason"]) == (3, 6, {"empty_file": 1})
    assert set(done) == {"run_id", "assets", "segments", "encoded", "reused", "skipped", "removed",
                         "pruned", "failures", "failed_by_reason", "bytes",
                         "seconds", "versions"}  # fmt: skip
    code, missing, err = smart_jobs("search", "about bridges", *keys, **options)
    assert (code, missing) == (1, "")
    assert "run `smart-jobs index lake=" in err
    assert "Traceback" not in err
    code, index = as_json("index", *keys, **options)
    assert (code, index["factory"], index["recall_at_10"]) == (0, "Flat", 1.0)
    assert "under the 1,000" in index["why"]
    assert index["built_from"]["version"] == done["versions"]["pooled"]
    code, found = as_json("search", "about bridges", "k=2", *keys, "where=uri LIKE '%s.txt'", **options)
    assert (code, [hit["rank"] for hit in found["hits"]]) == (0, [1, 2])
    assert all(hit["score"] == pytest.approx(hit["pooled"] + hit["late"], abs=1e-5) for hit in found["hits"])
    code, scores = as_json("evaluate", "suite=beir", "suite.path=suite", "suite.candidates=lake", *keys, **options)
    [task] = scores["tasks"].values()
    assert (code, task["queries"], task["candidates"], task["two_stage"]["candidates"]) == (0, 5, 5, 200)
    assert task["two_stage"]["ndcg@10"] == task["hybrid"]["ndcg@10"]
    code, asked = as_json("sql", "SELECT reason FROM failures", "lake=./lake", **options)
    assert (code, asked) == (0, {"columns": ["reason"], "rows": [{"reason": "empty_file"}], "count": 1})
    code, pairs = as_json("sql", "analysis=near_duplicates", "cosine=-0.9", "lake=./lake", **options)
    assert (code, pairs["segments"], pairs["count"]) == (0, done["encoded"], 40)  # two passages a text
    code, status = as_json("status", "lake=./lake", **options)
    [encoder] = status["encoders"]
    assert (code, encoder["segments"], len(encoder["indexes"]), status["failures"]) == (
        0, done["encoded"], 1, {"empty_file": 1}
    )  # fmt: skip


def test_the_same_as_a_pipeline_of_the_checkout(where):
    folder, environment, keys = where
    command = [
        sys.executable,
        "-m",
        "pipelines.ingest",
        f"source={folder / 'docs'}",
        f"lake={folder / 'lake'}",
        keys[0],
    ]
    done = subprocess.run([*command, "--json"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, json.loads(done.stdout)["encoded"]) == (0, 0), done.stderr


def test_the_wheel_runs_from_an_empty_folder(tmp_path):
    """The wheel holds smart_jobs and conf/, and its console script needs nothing of the checkout."""
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path / "dist"), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    [wheel] = (tmp_path / "dist").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"smart_jobs"}
    assert "smart_jobs/conf/encoder/minilm.yaml" in names
    target, empty = tmp_path / "target", tmp_path / "empty"
    empty.mkdir()
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    environment = {**os.environ, "PYTHONPATH": str(target)}
    script = [sys.executable, str(target / "bin" / "smart-jobs"), "ingest", "--help"]
    done = subprocess.run(script, cwd=empty, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"encoder +named: .*\bminilm\b", done.stdout)
    where = "import smart_jobs.config as c; print(c.__file__, c.conf_folders()[0])"
    said = subprocess.run([sys.executable, "-c", where], cwd=empty, env=environment, capture_output=True, text=True)
    assert said.stdout.split() == [str(target / "smart_jobs/config.py"), str(target / "smart_jobs/conf")]
