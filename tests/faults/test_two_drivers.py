"""Two drivers of one encoder and lake: one writes, the other says who does; one that was paused too long is fenced."""

import signal
from pathlib import Path

import pytest
from comparing import assert_same
from jobs import as_json, smart_jobs, start, wait_for, write_corpus

from smart_jobs.lake import table

KEYS = ("unit_tokens=100", "commit_seconds=0.3")
MOST = 20
"""Seconds that a claim left behind may delay the next run."""


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("source") / "docs", files=24)


def words(source: Path, lake: Path, encoder: Path) -> tuple[str, ...]:
    return ("ingest", f"source={source}", f"lake={lake}", f"encoder={encoder}", *KEYS)


def claims(lake: Path) -> list[str]:
    """Run ids in the order of their claims."""
    if not (lake / "runs" / "_delta_log").is_dir():
        return []
    rows = table.read(table.open_table(str(lake / "runs")), ["run_id", "phase", "epoch"]).to_pylist()
    return [row["run_id"] for row in sorted(rows, key=lambda row: row["epoch"]) if row["phase"] == "start"]


def committed(lake: Path) -> bool:
    return bool(list(lake.glob("encoders/*/_pending/*.json"))) and bool(list(lake.glob("encoders/*/pooled/*.parquet")))


@pytest.mark.slow
def test_the_second_names_the_first_and_a_killed_one_costs_seconds(tmp_path, source, tiny_encoder):
    lake = tmp_path / "lake"
    first = start(*words(source, lake, tiny_encoder))
    wait_for(lambda: committed(lake))
    code, _, said = smart_jobs(*words(source, lake, tiny_encoder))
    assert (code, first.poll()) == (1, None)
    [run_id] = claims(lake)
    last = said.strip().splitlines()[-1]
    assert last.startswith(f"smart-jobs: run {run_id} on ")
    assert f"(pid {first.pid}, since " in last
    first.send_signal(signal.SIGKILL)
    first.communicate()
    second = start(*words(source, lake, tiny_encoder))
    wait_for(lambda: len(claims(lake)) == 2, MOST)
    second.communicate(timeout=240)
    assert second.returncode in (0, 3)


@pytest.mark.slow
def test_a_paused_driver_is_fenced_out_and_changes_nothing_when_it_goes_on(tmp_path, source, tiny_encoder):
    lake, clean = tmp_path / "lake", tmp_path / "clean"
    assert as_json(*words(source, clean, tiny_encoder))[0] == 3
    paused = start(*words(source, lake, tiny_encoder))
    wait_for(lambda: committed(lake))
    paused.send_signal(signal.SIGSTOP)
    taker = start(*words(source, lake, tiny_encoder))
    wait_for(lambda: len(claims(lake)) == 2, 60)
    paused.send_signal(signal.SIGCONT)
    _, said = paused.communicate(timeout=240)
    taker.communicate(timeout=240)
    assert taker.returncode in (0, 3)
    assert paused.returncode == 1
    assert "was deposed" in said
    code, summary = as_json(*words(source, lake, tiny_encoder))
    assert (code, summary["run_id"]) == (0, None)
    assert_same(lake, clean)
