"""An evaluation killed with SIGKILL at its steps and at random moments, run again: encoded once, scored the same."""

import os
import random
import signal
import time
from pathlib import Path

import pytest
from comparing import rows, tables_of
from ingesting import without_ray
from jobs import as_json, run, start, wait_for
from killing import run_until
from suites import write_suite

from smart_jobs import schema

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("module_shared_ray")]
SEED = int(os.environ.get("FAULT_SEED", "20261121"))
KEYS = ("suite=beir", "commit_seconds=0.1", "unit_tokens=20")
SAME = ("pooled", "late", "hybrid", "two_stage", "primary", "failures", "queries", "candidates")
SLOW = (("listed", 1), ("claimed", 1), ("pending written", 1), ("pending removed", 1), ("scored suite", 1))


@pytest.fixture(scope="module")
def suite(tmp_path_factory) -> Path:
    return write_suite(tmp_path_factory.mktemp("suite") / "suite")


def words(suite: Path, lake: Path, encoder: Path) -> tuple[str, ...]:
    return (*KEYS, f"suite.path={suite}", f"lake={lake}", f"encoder={encoder}")


@pytest.fixture(scope="module")
def clean(tmp_path_factory, suite, tiny_encoder) -> tuple[dict, int]:
    """The scores of an undisturbed run, and how many segments it encoded."""
    lake = tmp_path_factory.mktemp("clean") / "lake"
    with without_ray():
        result = run("evaluate", *words(suite, lake, tiny_encoder))
    return scores(result), result["encoded"]


@pytest.fixture(scope="module")
def seconds(tmp_path_factory, suite, clean, tiny_encoder) -> float:
    """What an undisturbed run takes as a process, which scores the same."""
    begin = time.monotonic()
    code, result = as_json("evaluate", *words(suite, tmp_path_factory.mktemp("undisturbed") / "lake", tiny_encoder))
    assert (code, scores(result)) == (0, clean[0])
    return time.monotonic() - begin


def scores(result: dict) -> dict:
    return {name: {key: task[key] for key in SAME} for name, task in result["tasks"].items()}


def committed(lake: Path) -> list[int]:
    """The ids in the evaluation's pooled, as often as they are there."""
    inner = lake / "evaluation"
    made = list(inner.glob("encoders/*/pooled/_delta_log"))
    return [row["segment_id"] for row in rows(tables_of(inner), schema.POOLED)] if made else []


def finished(lake: Path, suite: Path, encoder: Path, clean: tuple[dict, int]) -> None:
    """The next run encodes what no earlier one has committed, each segment once, and scores what a clean one does."""
    before = committed(lake)
    with without_ray():
        result = run("evaluate", *words(suite, lake, encoder))
    after = committed(lake)
    assert len(after) == len(set(after)) == clean[1]
    assert result["encoded"] <= clean[1] - len(before)  # what had a receipt is rolled forward without being encoded
    assert set(before) <= set(after)
    states = [row["segment_id"] for row in rows(tables_of(lake / "evaluation"), schema.HIDDEN_STATES)]
    assert sorted(states) == sorted(after)
    assert scores(result) == clean[0]


@pytest.mark.parametrize(
    ("step", "times"), [("pooled committed", 2), *(pytest.param(*s, marks=pytest.mark.slow) for s in SLOW)]
)
def test_killed_at_a_step(tmp_path, suite, clean, tiny_encoder, step, times):
    lake = tmp_path / "lake"
    assert run_until("evaluate", step, times, words(suite, lake, tiny_encoder)) == -signal.SIGKILL
    finished(lake, suite, tiny_encoder, clean)


@pytest.mark.slow
@pytest.mark.parametrize("point", range(6))
def test_killed_at_a_random_moment(tmp_path, suite, clean, seconds, tiny_encoder, point):
    """Half of the moments lie anywhere, half behind the first commit."""
    chance, lake = random.Random(f"{SEED} {point}"), tmp_path / "lake"
    process = start("evaluate", *words(suite, lake, tiny_encoder), start_new_session=True)
    if point % 2:
        delay = chance.uniform(0.2, 1.0) * seconds
    else:
        wait_for(lambda: list(lake.glob("evaluation/encoders/*/_pending/*.json")) or process.poll() is not None)
        delay = chance.uniform(0, 2)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    print(f"seed {SEED}, point {point}: killed {delay:.2f} s in, exit {process.returncode}")
    finished(lake, suite, tiny_encoder, clean)
