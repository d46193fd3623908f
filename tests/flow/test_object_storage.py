"""Every verb with lake, source and suite on an S3 server that answers 503, late or not at all now and then."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import keeping
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from comparing import assert_same
from deltalake import write_deltalake
from jobs import as_json, run, start, write_corpus
from s3_server import S3
from suites import write_suite

from smart_jobs import cli, config, keys, schema, settings, storage
from smart_jobs.flow import forgetting, maintaining, sql, status, verifying
from smart_jobs.lake import layout, table
from smart_jobs.lake.table import Change

pytestmark = pytest.mark.ray
FAULTS = {"errors": 0.03, "slow": 0.03, "seconds": 0.3, "cut": 0.01, "lost": 0.01}
KEYS = ("unit_tokens=400", "commit_seconds=0.5")


def upload(folder: Path, uri: str) -> str:
    """The files of a local folder, below `uri`."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            storage.write_bytes(storage.join(uri, str(path.relative_to(folder))), path.read_bytes())
    return uri


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_verb_and_a_kill_on_a_store_that_fails_now_and_then(tmp_path, tiny_encoder, s3, bucket):
    """Killed behind its first commit and run again, the lake is that of an undisturbed run on the local disk."""
    root = f"{bucket}/a läke & more"
    source = upload(write_corpus(tmp_path / "docs", files=4, lines=20), f"{root}/docs #1 50%25/a:b")
    lake, encoder = f"lake={root}/lake", f"encoder={tiny_encoder}"
    words = ("ingest", f"source={source}", encoder)
    with s3.failing(**FAULTS, seed=1):
        process = start(*words, lake, *KEYS, start_new_session=True)
        wait_for_commit(f"{root}/lake", process)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        code, done = as_json(*words, lake, *KEYS)
        assert (code, done["assets"], done["failed_by_reason"]) in ((3, 5, {"empty": 1}), (0, 5, {})), done
        again = run(*words, lake)
        assert (again["encoded"], again["skipped"]) == (0, 5)
        index = run("index", lake, encoder)
        found = run("search", "query=lake river stone", "k=3", "where=n_tokens > 1", lake, encoder)
        suite = upload(write_suite(tmp_path / "suite"), f"{root}/suite")
        code, scores = as_json("evaluate", "suite=beir", f"suite.path={suite}", lake, encoder)
        [task] = scores["tasks"].values()
        assert (code, task["queries"], scores["failures"]) == (0, 5, 0)
        [encoded] = status.run(config.load(settings.Status, "status", [lake]))["encoders"]
        assert encoded["segments"] == index["vectors"]
        seen = s3.seen()["counts"]
    assert min(seen[fate] for fate in ("errors", "slow", "cut", "lost")) > 0
    code, clean = as_json(*words, f"lake={tmp_path / 'local'}")
    assert (code, clean["encoded"]) == (3, index["vectors"])
    assert_same(f"{root}/lake", tmp_path / "local")
    local = run("search", "query=lake river stone", "k=3", "exhaustive=true", f"lake={tmp_path / 'local'}", encoder)
    assert [hit["segment_id"] for hit in local["hits"]] == [hit["segment_id"] for hit in found["hits"]]


def wait_for_commit(lake: str, process: "subprocess.Popen[str]") -> None:
    end = time.monotonic() + 120
    while process.poll() is None and not any(re.search("_pending/.*[1-9].json$", uri) for uri in uris(lake)):
        assert time.monotonic() < end, "nothing was committed in time"
        time.sleep(0.05)


def uris(folder: str) -> list[str]:
    return [uri for uri, _ in storage.list_files(folder)]


@pytest.mark.slow
def test_a_process_that_has_read_a_table_ends_well(s3: S3, bucket):
    """Ten times: what pyarrow's threads still hold of a filesystem when Python ends has aborted processes."""
    lake = layout.create_lake(f"{bucket}/lake")
    handle = table.open_table(lake.table_uri(schema.FAILURES))
    row = {"asset_id": "a", "uri": "u", "source": "s", "version": "v", "step": "decode", "reason": "empty",
           "detail": "", "attempts": 1, "run_id": "r", "at": 0}  # fmt: skip
    for _ in range(4):
        rows = pa.Table.from_pylist([row], schema=schema.FAILURES.columns)
        table.commit(
            handle, Change([table.write_file(lake.table_uri(schema.FAILURES), schema.FAILURES, rows)], [], {}, {})
        )
    code = "import sys; from smart_jobs import schema; from smart_jobs.lake import table; "
    code += "print(len(table.read(table.open_table(sys.argv[1]), ['reason'])))"
    command = [sys.executable, "-c", code, lake.table_uri(schema.FAILURES)]
    ended = [
        subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": os.getcwd()})
        for _ in range(10)
    ]
    assert [(done.returncode, done.stdout) for done in ended] == [(0, "4\n")] * 10


@pytest.mark.slow
def test_a_read_is_tried_again(s3, bucket):
    """Also where Arrow's own client gives up: it does on some answers 503."""
    lake = layout.create_lake(f"{bucket}/lake")
    uri = lake.table_uri(schema.EVALUATION_QUERIES)
    row = {"run_id": "r", "task": "t", "query": "q", "scoring": "s", "hits": [], "scores": [], "metrics": []}
    layout.append(lake, schema.EVALUATION_QUERIES, [row], "test")
    handle = table.open_table(uri)
    with s3.failing(errors=0.3, seed=1):
        found = [len(table.read(handle, ["run_id"])) for _ in range(10)]
        assert s3.seen()["counts"]["errors"] > 3
    assert found == [1] * 10


def test_two_that_make_one_lake_end_with_one_id(s3, bucket):
    code = "import sys; from smart_jobs.lake import layout; print(layout.create_lake(sys.argv[1]).id)"
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    command = [sys.executable, "-c", code, f"{bucket}/lake"]
    makers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(3)]
    ids = {maker.communicate()[0] for maker in makers}
    assert [maker.returncode for maker in makers] == [0, 0, 0]
    assert ids == {layout.open_lake(f"{bucket}/lake").id + "\n"}


def test_what_a_store_cannot_do_is_one_line(tmp_path, tiny_encoder, s3, bucket, capfd):
    """No conditional put; no such bucket; a path that Delta cannot have; a store that is overloaded for good."""
    source = write_corpus(tmp_path / "docs", files=1)

    def said(lake: str) -> tuple[int, str]:
        code = cli.main(["ingest", f"source={source}", f"lake={lake}", f"encoder={tiny_encoder}"])
        out, err = capfd.readouterr()
        [line] = [line for line in err.splitlines() if line.startswith("smart-jobs: ")]
        assert (out, "Traceback" in err) == ("", False)
        return code, line

    with s3.failing(overwrites=True):
        code, line = said(f"{bucket}/lake")
        assert (code, f"lake {bucket}/lake: this store overwrites where it was asked to create" in line) == (1, True)
    assert uris(bucket) == []
    code, line = said("s3://not-there-at-all/lake")
    assert (code, line.endswith(": not there")) == (1, True)
    code, line = said(f"{bucket}/50%/lake")
    assert (code, "a Delta table cannot lie at a path with %" in line) == (2, True)
    with s3.failing(errors=1.0):
        code, line = said(f"{bucket}/lake")
        assert (code, "503" in line, bucket in line) == (1, True, True)


@pytest.mark.slow
def test_tables_on_a_store_are_sources(tmp_path, tiny_encoder, s3, bucket, cluster):
    where, options = storage.delta(f"{bucket}/delta table")
    write_deltalake(where, pa.table({"id": ["a", "b"], "text": ["first", "second"]}), storage_options=options)
    for i, name in enumerate(("rows/one.parquet", "rows/deep/er.parquet")):
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table({"id": [f"c{i}"], "text": [f"text {i}"]}), sink)
        storage.write_bytes(f"{bucket}/{name}", sink.getvalue().to_pybytes())
    done = run("ingest", f"source.uri=[{bucket}/delta table, {bucket}/rows/**/*.parquet]", f"lake={tmp_path / 'lake'}",
               f"encoder={tiny_encoder}")  # fmt: skip
    assert (done["assets"], done["encoded"]) == (4, 4)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_verbs_of_upkeep_on_a_store(bucket):
    """Asked, compacted, made to forget, broken and repaired."""
    uri = f"{bucket}/a läke"
    tables = keeping.make_lake(uri)
    lake = keys.Lake(uri=uri)
    count = "SELECT count(*) AS n FROM pooled"
    before = sql.run(settings.Sql(lake=lake, query=count))["rows"][0]["n"]
    assert verifying.run(settings.Verify(lake=lake))["whole"]
    done = maintaining.run(settings.Maintain(lake=lake, retention_hours=0))
    assert done["deleted"]["files"] > 0
    assert verifying.run(settings.Verify(lake=lake))["whole"]
    gone = forgetting.run(settings.Forget(asset="a", lake=lake))
    assert gone["segments"] == 3
    maintaining.run(settings.Maintain(lake=lake))
    assert sql.run(settings.Sql(lake=lake, query=count))["rows"][0]["n"] == before - 3
    pooled = tables.table_uri(schema.POOLED)
    storage.delete(storage.join(pooled, next(table.files_of(table.open_table(pooled)))))
    broken = verifying.run(settings.Verify(lake=lake, repair=True))
    assert (broken["whole"], broken["repaired"], set(broken["counts"])) == (False, True, {"missing_file"})
    assert verifying.run(settings.Verify(lake=lake))["whole"]
