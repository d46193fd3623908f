"""faiss and PyMuPDF share SWIG's type table: an index works whichever is imported first."""

import subprocess
import sys

import pytest

SCRIPT = """
import {first}, {second}
import numpy as np
from smart_jobs.index import build, check
from smart_jobs.search import ann
vectors = np.random.default_rng(0).standard_normal((1500, 32)).astype(np.float32)
vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
ids = np.arange(1500, dtype=np.int64)
for count in (500, 1500):
    plan = build.plan(count, 32)
    index = build.load(build.save(build.build(ids[:count], vectors[:count], plan)))
    found, _ = ann.candidates(index, vectors[:5], 3, plan.nprobe, allowed=ids[:count])
    assert (found[:, 0] == ids[:5]).all(), found
    batches = lambda: [(ids[:count], vectors[:count])]
    wide, _ = ann.candidates(index, vectors[:50], 11, plan.nprobe)
    answers = check.others(wide, ids[:50], 10)
    assert check.recalls(vectors[:50], ids[:50], [answers], [10], batches)[0, 0] > 0.5
"""


@pytest.mark.parametrize(("first", "second"), [("pymupdf", "faiss"), ("faiss", "pymupdf")])
def test_an_index_is_built_whichever_comes_first(first, second):
    command = [sys.executable, "-c", SCRIPT.format(first=first, second=second)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
