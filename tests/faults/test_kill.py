"""Killed with SIGKILL at a random moment, run again: the tables equal those of an undisturbed run."""

import os
import random
import signal
import threading
import time
from pathlib import Path

import pytest
from comparing import assert_same, rows, tables_of
from ingesting import without_ray
from jobs import actor_processes, as_json, run, start, wait_for, write_corpus

from smart_jobs import schema

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("module_shared_ray")]
SEED = int(os.environ.get("FAULT_SEED", "20261121"))
KEYS = ("unit_tokens=200", "commit_seconds=0.2")


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("source") / "docs", files=16)


@pytest.fixture(scope="module")
def clean(tmp_path_factory, source, tiny_encoder) -> Path:
    """An undisturbed lake."""
    lake = tmp_path_factory.mktemp("clean") / "lake"
    with without_ray():
        run("ingest", f"source={source}", f"lake={lake}", f"encoder={tiny_encoder}", *KEYS)
    return lake


@pytest.fixture(scope="module")
def seconds(tmp_path_factory, source, clean, tiny_encoder) -> float:
    """What an undisturbed run takes as a process, which leaves the same lake."""
    lake = tmp_path_factory.mktemp("undisturbed") / "lake"
    begin = time.monotonic()
    code, _ = as_json("ingest", f"source={source}", f"lake={lake}", f"encoder={tiny_encoder}", *KEYS)
    assert code == 3
    assert_same(lake, clean)
    return time.monotonic() - begin


@pytest.mark.parametrize("point", [0, *(pytest.param(i, marks=pytest.mark.slow) for i in range(1, 20))])
def test_driver_killed_at_a_random_moment(tmp_path, source, clean, tiny_encoder, point, request):
    """Half of the moments lie anywhere in the run, half behind the first commit, where there is most to lose."""
    chance = random.Random(f"{SEED} {point}")
    seconds = request.getfixturevalue("seconds") if point % 2 else 0.0
    lake = tmp_path / "lake"
    words = (f"source={source}", f"lake={lake}", f"encoder={tiny_encoder}", *KEYS)
    process = start("ingest", *words, start_new_session=True)
    if point % 2:
        delay = chance.uniform(0.2, 0.9) * seconds
    else:
        wait_for(lambda: list((lake / "encoders").glob("*/_pending/*.json")) or process.poll() is not None)
        delay = chance.uniform(0, 2)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    print(f"seed {SEED}, point {point}: killed {delay:.2f} s in, exit {process.returncode}")
    with without_ray():
        run("ingest", *words)
    assert_same(lake, clean)


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["DecodeActor", "EncodeActor"])
def test_an_actor_killed_in_the_middle_of_a_unit(tmp_path, source, clean, tiny_encoder, stage):
    """What it had in hand is done again by a fresh actor: nothing lost, nothing doubled."""
    lake = tmp_path / "lake"
    killed: list[int] = []

    def kill_one() -> None:
        if stage == "EncodeActor":
            wait_for(lambda: list(lake.glob("encoders/*/hidden_states/*.parquet")))
        wait_for(lambda: actor_processes(stage))
        [pid, *_] = actor_processes(stage)
        os.kill(pid, signal.SIGKILL)
        killed.append(pid)

    killer = threading.Thread(target=kill_one)
    killer.start()
    words = (f"source={source}", f"lake={lake}", f"encoder={tiny_encoder}", "unit_tokens=60", "commit_seconds=0.5")
    summary = run("ingest", *words)
    killer.join()
    assert killed
    assert summary["encoded"] == len(rows(tables_of(clean), schema.POOLED))
    assert_same(lake, clean)
