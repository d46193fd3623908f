"""Shared fixtures: the tiny checkpoint, and one local Ray cluster for the tests that need it."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny import checkpoint

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a random BERT, as `encoder=<folder>` takes it."""
    return checkpoint(tmp_path_factory.mktemp("checkpoints") / "tiny")


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    """A Ray that the jobs of this process use as they find it."""
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    yield
    ray.shutdown()
