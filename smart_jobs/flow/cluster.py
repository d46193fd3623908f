"""Ray: connect to a cluster or start one here, quietly, and share its CPUs and GPUs out over the stages."""

import contextlib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass

import ray

from smart_jobs.records import JobError
from smart_jobs.settings import Cluster

CPUS_PER_ENCODER = 4
"""CPU threads of one encode actor without a GPU; a machine with more runs several actors."""


@dataclass(frozen=True, slots=True)
class Pools:
    """How many actors each stage has, and what one of them takes."""

    decode_actors: int
    encode_actors: int
    encode_cpus: float
    encode_gpus: float
    encode_threads: int


@contextlib.contextmanager
def connected(cluster: Cluster) -> Iterator[None]:
    """A running Ray for the block: the one this process has, the one that an address names, else a local one.

    A local cluster ends with the block. Workers' prints stay in Ray's own log files, off stdout.
    """
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # its C++ side writes to the user's stderr
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    address = cluster.address or os.environ.get("RAY_ADDRESS")
    local = {} if address else {"num_cpus": cluster.cpus, "include_dashboard": False}
    try:
        with _stderr_closed():
            ray.init(address=address or "local", log_to_driver=False, logging_level=logging.ERROR, **local)
    except ConnectionError as error:
        raise JobError(f"cluster {address}: no Ray there: {' '.join(str(error).split())}") from error
    try:
        yield
    finally:
        ray.shutdown()


@contextlib.contextmanager
def _stderr_closed() -> Iterator[None]:
    """Ray's C++ side announces its log level on stderr, which nothing else can switch off; errors are raised."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def pools(cluster: Cluster) -> Pools:
    """Actors for what the connected cluster has: an encoder for each GPU, else one for every few CPUs.

    Decode actors claim no CPU: in the pipeline benchmark the encoder never waited for them, even with every core.
    """
    have = ray.cluster_resources()
    cpus, gpus = max(1, int(have.get("CPU", 1))), int(have.get("GPU", 0))
    encoders = cluster.encode_actors or gpus or max(1, cpus // CPUS_PER_ENCODER)
    share = max(1, cpus // encoders)
    return Pools(
        decode_actors=cluster.decode_actors or max(1, (cpus - encoders) // 2 if gpus else encoders),
        encode_actors=encoders,
        encode_cpus=0.5 if gpus else max(0.5, share - 0.5),
        encode_gpus=1.0 if gpus else 0.0,
        encode_threads=cluster.encode_threads or share,
    )
