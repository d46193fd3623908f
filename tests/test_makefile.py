"""The Makefile can be read, and `make bench` runs every benchmark."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HELPERS = {"__init__", "writing"}
"""Modules of tests/bench that are no benchmarks of their own."""
GPU = {"gpu", "gpu_model", "gpu_rates", "gpu_scoring"}
"""What is for a machine with a GPU, where it is called by name."""


@pytest.mark.parametrize("target", ["demo", "test", "bench", "faults", "docs", "clean"])
def test_what_a_target_would_do_on_a_fresh_machine_can_be_said(tmp_path, target):
    """Where there is no environment yet, and no folder has a target's name."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    done = subprocess.run(["make", "--dry-run", target], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert ("-m venv" in done.stdout) == (target != "clean")


def test_every_benchmark_is_run_by_make_bench():
    said = subprocess.run(["make", "--dry-run", "bench"], cwd=ROOT, capture_output=True, text=True).stdout
    there = {path.stem for path in (ROOT / "tests" / "bench").glob("*.py")} - HELPERS - GPU
    assert {line.split("tests.bench.")[1].split()[0] for line in said.splitlines() if "tests.bench." in line} == there
