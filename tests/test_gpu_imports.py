"""A machine with a GPU may have little more than torch and transformers: what encodes and scores imports there."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ABSENT = ("ray", "deltalake", "obstore", "faiss", "av", "decord", "pymupdf", "omegaconf", "fsspec", "scipy")
MODULES = ("codec", "encode.batched", "encode.encoder", "encode.qwen3_vl", "search.exact", "search.nearest")
PROGRAM = """
import importlib, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
for module in {modules}:
    importlib.import_module(module)
"""


def imported(*modules):
    program = PROGRAM.format(absent=set(ABSENT), modules=modules)
    return subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.timeout(300)
def test_imports_without_lake_cluster_and_decoders():
    done = imported(*[f"smart_jobs.{module}" for module in MODULES], "tests.bench.gpu")
    assert done.returncode == 0, done.stderr


def test_what_is_absent_is_missed():
    assert "No module named 'ray'" in imported("ray").stderr
