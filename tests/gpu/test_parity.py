"""Every family on a GPU gives what it gives on the CPU: the same numbers in float32, the same directions in bf16."""

import goldens
import numpy as np
import pytest
import tiny_vl
import torch
from seeing import loaded, segment

from smart_jobs.encode import batched

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device here")
FAMILIES = sorted([*tiny_vl.BUILDERS, "lamra"])


@pytest.fixture(params=FAMILIES)
def pair(request, tmp_path, monkeypatch):
    """A way to load the family's tiny checkpoint on the GPU, and what it gives on the CPU in float32."""
    folder = tiny_vl.checkpoint(tmp_path / "tiny", request.param)
    items = [*goldens.segments(request.param), segment("longer than others, " * 5)]
    with monkeypatch.context() as patched:
        patched.setattr(batched, "device", lambda: torch.device("cpu"))
        wanted = loaded(folder, request.param).encode(items)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)  # it rounds what cuts patches to 10 bits
    return lambda dtype: loaded(folder, request.param, dtype=dtype), items, wanted


def cosines(states, others):
    return (states * others).sum(1) / np.linalg.norm(states, axis=1) / np.linalg.norm(others, axis=1)


def test_float32_gives_the_same_numbers(pair):
    load, items, wanted = pair
    for result, other in zip(load("float32").encode(items), wanted, strict=True):
        np.testing.assert_allclose(result.pooled, other.pooled, atol=1e-4)
        np.testing.assert_allclose(result.states, other.states, atol=1e-3)


def test_bf16_gives_the_same_directions(pair):
    load, items, wanted = pair
    for result, other in zip(load("bfloat16").encode(items), wanted, strict=True):
        assert result.pooled @ other.pooled > 0.99
        assert cosines(result.states, other.states).mean() > 0.99
