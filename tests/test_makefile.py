"""The Makefile can be read, and `make bench` runs every benchmark."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HELPERS = {"__init__", "writing"}
"""Modules of tests/bench that are no benchmarks of their own."""


@pytest.mark.parametrize("target", ["demo", "test", "bench", "faults", "docs"])
def test_what_a_target_would_do_can_be_said(target):
    done = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_every_benchmark_is_run_by_make_bench():
    said = subprocess.run(["make", "--dry-run", "bench"], cwd=ROOT, capture_output=True, text=True).stdout
    there = {path.stem for path in (ROOT / "tests" / "bench").glob("*.py")} - HELPERS
    assert {line.split("tests.bench.")[1].split()[0] for line in said.splitlines() if "tests.bench." in line} == there
