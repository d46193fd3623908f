"""What these tests compare with runs on the CPU, and so does what they test; tests/gpu compares the two."""

import pytest
import torch

from smart_jobs.encode import batched


@pytest.fixture(autouse=True)
def _on_the_cpu(monkeypatch):
    monkeypatch.setattr(batched, "device", lambda: torch.device("cpu"))
