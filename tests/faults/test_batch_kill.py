"""A batch search killed with SIGKILL, run again: its files are to the byte those of one that was never killed."""

import os
import random
import signal
import threading
import time
from pathlib import Path

import pytest
from asking import ask, files, filled, questions, segments
from ingesting import without_ray
from jobs import actor_processes, run, start, wait_for
from killing import run_until

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("module_shared_ray")]
SEED = int(os.environ.get("FAULT_SEED", "20261121"))
PARTS = 8


@pytest.fixture(scope="module")
def clean(tmp_path_factory, tiny_encoder) -> tuple[tuple[str, ...], Path]:
    """The keys of a search, and the folder of an undisturbed one."""
    folder = tmp_path_factory.mktemp("batch")
    filled(folder / "lake", tiny_encoder, segments(120))
    ask(folder / "asked.parquet", questions(10 * PARTS - 3))
    words = (f"lake={folder}/lake", f"encoder={tiny_encoder}", f"queries={folder}/asked.parquet", "part_queries=10",
             "cluster.encode_threads=1")  # fmt: skip
    with without_ray():
        summary = run("search", *words, f"out={folder}/out")
    assert (summary["parts"], summary["failures"]) == (PARTS, 7)
    return words, folder / "out"


def finished(words, out: Path, reference: Path) -> dict:
    """What the next run says; it must leave what an undisturbed one does."""
    with without_ray():
        summary = run("search", *words, f"out={out}")
    assert files(out) == files(reference)
    assert [path.name for path in out.iterdir() if path.is_dir()] == []
    return summary


@pytest.mark.parametrize(
    "parts", [1, pytest.param(3, marks=pytest.mark.slow), pytest.param(PARTS, marks=pytest.mark.slow)]
)
def test_the_driver_killed_when_some_parts_are_done(tmp_path, clean, parts):
    words, reference = clean
    assert run_until("search", "part", parts, (*words, f"out={tmp_path}/out")) == -signal.SIGKILL
    there = {path.name for path in (tmp_path / "out").glob("part-*")}
    assert len(there) >= parts
    assert finished(words, tmp_path / "out", reference)["kept"] >= parts


@pytest.mark.slow
@pytest.mark.parametrize("point", range(5))
def test_the_driver_killed_at_a_random_moment(tmp_path, clean, point):
    words, reference = clean
    process = start("search", *words, f"out={tmp_path}/out", start_new_session=True)
    wait_for(lambda: (tmp_path / "out" / "_search.json").exists() or process.poll() is not None)
    delay = random.Random(f"{SEED} {point}").uniform(0, 6)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    there = len(list((tmp_path / "out").glob("part-*")))
    print(f"seed {SEED}, point {point}: killed {delay:.2f} s after the plan, {there} parts, exit {process.returncode}")
    finished(words, tmp_path / "out", reference)


def test_a_worker_killed_in_the_middle_of_a_part(tmp_path, clean):
    """What it had in hand is done again, by itself started afresh or by another."""
    words, reference = clean
    killed: list[int] = []

    def kill_one() -> None:
        wait_for(lambda: list((tmp_path / "out").glob("part-*")))
        [pid, *_] = actor_processes("SearchActor")
        os.kill(pid, signal.SIGKILL)
        killed.append(pid)

    killer = threading.Thread(target=kill_one)
    killer.start()
    summary = run("search", *words, f"out={tmp_path}/out", "cluster.encode_actors=2")
    killer.join()
    assert killed
    assert (summary["kept"], summary["failures"]) == (0, 7)
    assert files(tmp_path / "out") == files(reference)
