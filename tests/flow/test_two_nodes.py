"""Two Ray nodes on this machine: one dies in the middle of an ingest, another does not see the lake."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from comparing import assert_same, rows, tables_of
from jobs import as_json, run, smart_jobs, start, write_corpus
from ray.cluster_utils import Cluster
from suites import write_suite

from smart_jobs import schema
from smart_jobs.lake import layout

pytestmark = pytest.mark.ray
QUICK = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 3}
KEYS = ("unit_tokens=60", "commit_seconds=0.3")


@pytest.fixture(scope="module")
def two_nodes() -> Iterator[SimpleNamespace]:
    """The address of a cluster of two nodes with one CPU each, and the handle of the one that may die."""
    small = {"num_cpus": 1, "object_store_memory": 100 << 20}
    head = {**small, "include_dashboard": False, "_system_config": QUICK}
    started = Cluster(initialize_head=True, head_node_args=head)
    try:
        yield SimpleNamespace(cluster=started, address=started.address, other=started.add_node(**small))
    finally:
        started.shutdown()


def wait_for(condition: Callable[[], object], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened in time"
        time.sleep(0.02)


@pytest.mark.slow
def test_a_node_dies_in_the_middle_of_an_ingest(tmp_path, tiny_encoder, two_nodes, cluster):
    """The run, or the next one, ends with the same tables as on one node; then an evaluation runs on what is left."""
    source, lake = write_corpus(tmp_path / "docs", files=8), tmp_path / "lake"
    where = (f"encoder={tiny_encoder}", f"lake={lake}", f"cluster.address={two_nodes.address}")
    process = start("ingest", f"source={source}", *where, *KEYS)
    wait_for(lambda: list(lake.glob("encoders/*/hidden_states/*.parquet")) or process.poll() is not None)
    two_nodes.cluster.remove_node(two_nodes.other, allow_graceful=False)
    process.communicate(timeout=200)
    code, summary = as_json("ingest", f"source={source}", *where, *KEYS)
    assert code in (0, 3), summary
    run("ingest", f"source={source}", f"encoder={tiny_encoder}", f"lake={tmp_path / 'clean'}")
    assert_same(lake, tmp_path / "clean")
    code, scores = as_json("evaluate", "suite=beir", f"suite.path={write_suite(tmp_path / 'suite')}", *where)
    [task] = scores["tasks"].values()
    assert (code, task["queries"], task["candidates"], scores["failures"]) == (0, 5, 5, 0)


@contextlib.contextmanager
def node_without(folder: Path, address: str) -> Iterator[None]:
    """A further node, for which an empty disk is mounted over `folder`."""
    ray = f"{sys.executable} -m ray.scripts.scripts start --address={address} --num-cpus=1 --block"
    hidden = f"mount -t tmpfs none '{folder}' && exec {ray}"
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", hidden]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
    process = subprocess.Popen(command, **quiet)  # type: ignore[call-overload]
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def may_mount() -> bool:
    command = ["unshare", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]
    with contextlib.suppress(OSError):
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    return False


@pytest.mark.slow
@pytest.mark.skipif(not may_mount(), reason="no mount namespaces here")
def test_a_node_that_does_not_see_the_lake_is_named_before_a_unit_is_decoded(tmp_path, tiny_encoder, two_nodes):
    source = write_corpus(tmp_path / "docs", files=2)
    (tmp_path / "own").mkdir()
    lake = tmp_path / "own" / "lake"
    nodes = two_nodes.cluster.global_state._live_node_ids
    before = len(nodes())
    with node_without(tmp_path / "own", two_nodes.address):
        wait_for(lambda: len(nodes()) > before)
        where = (f"encoder={tiny_encoder}", f"lake={lake}", f"cluster.address={two_nodes.address}")
        code, out, err = smart_jobs("ingest", f"source={source}", *where)
    [line] = [line for line in err.splitlines() if line.startswith("smart-jobs:")]
    assert (code, out) == (1, "")
    assert line.startswith(f"smart-jobs: lake {lake}: node ")
    assert "does not see it; put the lake where every node sees it" in line
    assert "Traceback" not in err
    tables = tables_of(lake)
    assert [rows(tables, kind) for kind in (schema.POOLED, schema.HIDDEN_STATES, schema.FAILURES)] == [[], [], []]
    assert not list(Path(tables.table_uri(schema.HIDDEN_STATES)).glob("*.parquet"))
    assert layout.open_lake(str(lake)).id
