"""Shared fixtures: the tiny checkpoint, one local Ray cluster, one S3 server for the tests that need them."""

import logging
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from s3_server import S3, running
from tiny import checkpoint

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
if (
    "PYTEST_XDIST_WORKER" in os.environ
):  # as many test processes as cores: a second thread waits for the first one's core
    os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112  # else tests that compute starve what others have Ray do
os.environ["HF_HUB_OFFLINE"] = "1"
os.fsync = lambda _: None  # what tests do to a run is kill it; syncing added 52 s to the 125 s of tests/lake


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What starts Ray comes first: files are shared out in this order, and the quick ones fill up the end."""
    items.sort(key=lambda item: item.path.parent.name not in {"faults", "flow"})


@pytest.fixture(autouse=True)
def _not_real_time() -> Iterator[None]:
    """A test that left this process real-time would starve every process that later ones start: hours for minutes."""
    yield
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a random BERT, as `encoder=<folder>` takes it."""
    return checkpoint(tmp_path_factory.mktemp("checkpoints") / "tiny")


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    """A Ray that the jobs of this process use as they find it."""
    import ray

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    yield
    ray.shutdown()


@pytest.fixture
def in_process() -> Iterator[None]:
    """Jobs of this test without Ray."""
    from ingesting import without_ray

    with without_ray():
        yield


@pytest.fixture(scope="module")
def module_in_process() -> Iterator[None]:
    """Jobs of this module without Ray."""
    from ingesting import without_ray

    with without_ray():
        yield


@contextmanager
def shared() -> Iterator[None]:
    """Jobs that are processes of their own run on the Ray of this one: starting one for each takes ten seconds.

    The workers of that Ray have the environment that it was started with, and not what a test has set since, such as a
    store's credentials.
    """
    import ray

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ADDRESS", ray.get_runtime_context().gcs_address)
        yield


@pytest.fixture
def shared_ray(cluster) -> Iterator[None]:
    """Processes of this test share a Ray."""
    with shared():
        yield


@pytest.fixture(scope="module")
def module_shared_ray(cluster) -> Iterator[None]:
    """Processes of this module share a Ray."""
    with shared():
        yield


@pytest.fixture(scope="session")
def s3_processes() -> Iterator[S3]:
    """One S3 server for all tests."""
    with running() as server:
        yield server


@pytest.fixture
def s3(s3_processes: S3, monkeypatch: pytest.MonkeyPatch) -> S3:
    """The S3 server, and this process's environment as of a user of it."""
    for name, value in s3_processes.environment.items():
        monkeypatch.setenv(name, value)
    return s3_processes


@pytest.fixture
def bucket(s3: S3) -> str:
    """The URI of a bucket that only this test has."""
    return s3.make_bucket(f"b-{uuid.uuid4().hex}")
