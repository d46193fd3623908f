"""One writer per encoder and lake: claims, heartbeats, takeovers, and what a deposed writer may still do."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from lake_making import Doc, Run, decode, make_receipt, make_spec, make_tables, promised, rows_of, shown

from smart_jobs import schema, storage
from smart_jobs.lake import groups, known, layout, lease
from smart_jobs.lake.commit import Committer
from smart_jobs.lake.lease import DeposedError
from smart_jobs.records import JobError, Planned

HOLDER = """
import sys, time
from lake_making import make_spec
from smart_jobs.lake import layout, lease, table
lease.HEARTBEAT_SECONDS = float(sys.argv[2])
tables = layout.open_encoder(layout.open_lake(sys.argv[1]), make_spec().full_name)
with lease.hold(tables, "ingest", 0) as held:
    print(held.run_id, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def tables(tmp_path):
    return make_tables(tmp_path)


@pytest.fixture
def fast(monkeypatch):
    monkeypatch.setattr(lease, "HEARTBEAT_SECONDS", 0.1)
    monkeypatch.setattr(lease, "DEAD_AFTER", 0.8)
    monkeypatch.setattr(lease, "POLL_SECONDS", 0.05)


@contextlib.contextmanager
def another_process(tables, heartbeat):
    """A second process that holds the lease: (process, run id)."""
    root = Path(__file__).parents[1]
    paths = os.pathsep.join([str(root), str(root.parent)])
    command = [sys.executable, "-c", HOLDER, tables.lake.uri, str(heartbeat)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": paths}) as holder:
        try:
            yield holder, holder.stdout.readline().strip()
        finally:
            holder.kill()


def claim(tables, wait=0.0):
    """Take the lease and give it back; how long that took, in seconds."""
    start = time.monotonic()
    with lease.hold(tables, "ingest", wait):
        return time.monotonic() - start


def refused(tables):
    start = time.monotonic()
    with pytest.raises(JobError) as caught:
        claim(tables)
    return str(caught.value), time.monotonic() - start


def test_a_second_process_is_named_and_one_that_is_killed_is_no_obstacle(tables, fast):
    with another_process(tables, 0.1) as (holder, run_id):
        said, seconds = refused(tables)
        assert said.startswith(f"run {run_id} on {socket.gethostname()} (pid {holder.pid}, since ")
        assert said.endswith(f"is writing {tables.spec.full_name} in {tables.lake.uri}; wait=SECONDS queues")
        assert seconds < 5
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        assert claim(tables) < 0.7, "its pid is gone: nothing to watch for"


def test_a_killed_run_on_another_host_is_dead_when_its_heartbeat_stands_still(tables, fast, monkeypatch):
    with another_process(tables, 0.1) as (holder, run_id):
        monkeypatch.setattr(socket, "gethostname", lambda: "elsewhere")
        assert run_id in refused(tables)[0]
        holder.kill()
        holder.wait()
        assert lease.DEAD_AFTER <= claim(tables) < lease.DEAD_AFTER + 4


@pytest.mark.slow
def test_a_killed_run_delays_the_next_by_less_than_20_seconds(tables, monkeypatch):
    with another_process(tables, lease.HEARTBEAT_SECONDS) as (holder, run_id):
        monkeypatch.setattr(socket, "gethostname", lambda: "elsewhere")
        said, seconds = refused(tables)
        assert run_id in said
        assert seconds < 8
        holder.kill()
        holder.wait()
        assert claim(tables) < 20


def test_wait_queues_until_the_other_run_ends(tables, fast):
    started, order = threading.Event(), []

    def first():
        with lease.hold(tables, "ingest", 0):
            started.set()
            time.sleep(0.6)
            order.append("first")

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(first)
        assert started.wait(20)
        with lease.hold(tables, "ingest", 30):
            order.append("second")
        done.result()
    assert order == ["first", "second"]


def test_waiting_ends_in_the_same_error(tables, fast):
    with lease.hold(tables, "ingest", 0) as held:
        start = time.monotonic()
        with pytest.raises(JobError, match=f"run {held.run_id} on "):
            claim(tables, wait=0.5)
        assert time.monotonic() - start >= 0.5


def test_two_encoders_of_a_lake_do_not_block_each_other(tables, fast):
    other = layout.create_encoder(tables.lake, make_spec(revision="r2"), None)
    with lease.hold(tables, "ingest", 0) as one, lease.hold(other, "ingest", 0) as two:
        assert one.run_id != two.run_id


def test_the_same_encoder_in_two_lakes_is_two_leases(tmp_path, fast):
    one, two = make_tables(tmp_path / "one"), make_tables(tmp_path / "two")
    with lease.hold(one, "ingest", 0), lease.hold(two, "ingest", 0) as held:
        assert held.epoch == 1


def test_of_many_claimants_at_once_one_gets_it(tables, fast):
    inside, most, lock, over = [], [], threading.Lock(), threading.Event()

    def contend(_):
        try:
            with lease.hold(tables, "ingest", 0) as held:
                with lock:
                    inside.append(held.epoch)
                over.wait(10)
                return held.epoch
        except JobError:
            with lock:
                most.append(1)
                if len(most) == 3:
                    over.set()
            return None

    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(contend, range(4)))
    assert inside == [1]
    assert sorted(got, key=str) == [1, None, None, None]


def test_runs_says_how_a_run_began_and_ended(tables, fast):
    with lease.hold(tables, "ingest", 0) as held:
        held.summary = "all well"
    with pytest.raises(ZeroDivisionError), lease.hold(tables, "index", 0) as broken:
        raise ZeroDivisionError
    rows = sorted(rows_of(tables, schema.RUNS), key=lambda row: row["at"])
    assert [(row["run_id"], row["phase"], row["job"], row["epoch"], row["summary"]) for row in rows] == [
        (held.run_id, "start", "ingest", 1, ""),
        (held.run_id, "end", "ingest", 1, "all well"),
        (broken.run_id, "start", "index", 2, ""),
        (broken.run_id, "failed", "index", 2, ""),
    ]
    assert {(row["spec"], row["host"], row["pid"]) for row in rows} == {
        (tables.spec.digest, socket.gethostname(), os.getpid())
    }
    assert dict(rows[0]["libraries"])["pyarrow"]


def test_a_run_that_raised_is_no_obstacle(tables, fast):
    with pytest.raises(ZeroDivisionError), lease.hold(tables, "ingest", 0):
        raise ZeroDivisionError
    assert claim(tables) < 0.7


def test_a_fault_while_beating_costs_a_beat_and_not_the_lease(tables, fast, monkeypatch):
    write, failed = storage.write_bytes, threading.Event()

    def faulty(uri, data):
        if "/_lease/" in uri and not failed.is_set():
            failed.set()
            raise OSError("503")
        write(uri, data)

    monkeypatch.setattr(storage, "write_bytes", faulty)
    with lease.hold(tables, "ingest", 0) as held:
        assert failed.wait(5)
        assert held.run_id in refused(tables)[0]


def test_a_deposed_writer_fails_at_its_next_commit_and_shows_nothing(tables, fast, monkeypatch):
    mine, theirs = Doc("mine", "v1", "gb"), Doc("theirs", "v1", "gg")
    monkeypatch.setattr(lease, "HEARTBEAT_SECONDS", 600.0)  # beats once, then stands still as a paused process does
    with contextlib.suppress(DeposedError), lease.hold(tables, "ingest", 0) as held:
        waiting = groups.roll_forward(tables, held)
        committer = Committer(tables, held, known.load(tables, waiting.rows, known.passing(())), waiting)
        committer.add(make_receipt(tables, decode(Planned(mine.asset), mine, held.run_id)))
        with lease.hold(tables, "ingest", 0) as later:
            assert later.epoch == held.epoch + 1
            assert Run().ingest(tables, [theirs], later.epoch) == 2
        with pytest.raises(DeposedError, match=f"run {held.run_id} was deposed"):
            committer.commit()
        raise DeposedError
    assert shown(tables) == promised([theirs])
    assert not rows_of(tables, schema.FAILURES)
    phases = {(row["run_id"], row["phase"]) for row in rows_of(tables, schema.RUNS)}
    assert {(held.run_id, "failed"), (later.run_id, "end")} <= phases
    assert claim(tables) < 0.7
