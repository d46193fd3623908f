"""Ray: connect to a cluster or start one here, quietly, and share its CPUs and GPUs out over the stages."""

import contextlib
import logging
import os
import re
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from smart_jobs.keys import Cluster
from smart_jobs.lake import layout
from smart_jobs.records import JobError

CPUS_PER_ENCODER = 4
"""CPU threads of one encode actor without a GPU; a machine with more runs several actors."""

ANSWER_SECONDS = 120.0
"""How long a node may take to say whether it sees the lake: its first worker has to start."""


ADVICE = "put the lake where every node sees it under the same name (a shared mount or s3://…)"


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
    local = {} if address else {"num_cpus": cluster.cpus, "num_gpus": cluster.gpus, "include_dashboard": False}
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


def check_lake(uri: str, lake_id: str) -> None:
    """Ask every node but this one whether it sees the lake; needs a connected Ray.

    Raises JobError naming the nodes that do not, before a worker writes anything there. A node that is gone when it
    should answer is passed over.
    """
    here = ray.get_runtime_context().get_node_id()
    others = [node for node in ray.nodes() if node["Alive"] and node["NodeID"] != here]
    asked = [(_name(node), _ask(node["NodeID"], uri, lake_id)) for node in others]
    answers = [(name, _answer(answer)) for name, answer in asked]
    wrong = [f"node {name} {problem}" for name, problem in answers if problem]
    if wrong:
        raise JobError(f"lake {uri}: {', '.join(wrong)}; {ADVICE}")


def check_here(uri: str, lake_id: str) -> None:
    """Raise JobError naming this node where it does not see the lake: nodes may join while a job runs."""
    problem = view(uri, lake_id)
    if problem:
        raise JobError(f"lake {uri}: node {socket.gethostname()} {problem}; {ADVICE}")


def view(uri: str, lake_id: str) -> str:
    """What is wrong with the lake as this process sees it, to follow the node's name; empty where it is right."""
    try:
        found = layout.open_lake(uri).id
    except JobError:
        return "does not see it"
    except OSError as error:
        return f"cannot read it ({' '.join(str(error).split())})"
    return "" if found == lake_id else "sees another lake there"


def said_by(error: RayError) -> JobError | None:
    """The JobError that a worker raised: the cause, or a line of the text where an actor raised it at its start."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, JobError):
        return cause
    line = re.search(rf"^{JobError.__module__}\.{JobError.__name__}: (.+)$", str(error), re.MULTILINE)
    return JobError(line[1]) if line else None


def _name(node: dict[str, Any]) -> str:
    return f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"


def _ask(node_id: str, uri: str, lake_id: str) -> Any:
    there = NodeAffinitySchedulingStrategy(node_id, soft=False)
    return ray.remote(view).options(num_cpus=0, scheduling_strategy=there).remote(uri, lake_id)


def _answer(answer: Any) -> str:
    try:
        return str(ray.get(answer, timeout=ANSWER_SECONDS))
    except GetTimeoutError:
        return f"does not answer within {ANSWER_SECONDS:.0f} s"
    except RayError:
        return ""


def pools(cluster: Cluster) -> Pools:
    """Actors for what the connected cluster has: encoders for each GPU, else one for every few CPUs of a node.

    Decode actors claim no CPU: in the pipeline benchmark the encoder never waited for them, even with every core.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return shared([int(node.get("CPU", 0)) for node in nodes], sum(int(node.get("GPU", 0)) for node in nodes), cluster)


def shared(node_cpus: Sequence[int], gpus: int, cluster: Cluster) -> Pools:
    """The pools over nodes with these CPUs: no actor takes more than a node has."""
    cpus = [count for count in node_cpus if count] or [1]
    wanted = cluster.encode_actors or gpus * int(1 / cluster.encode_gpus)
    if wanted:
        share = max(1, min(max(cpus), sum(cpus) // wanted))
    else:
        share = min(count // max(1, count // CPUS_PER_ENCODER) for count in cpus)
    encoders = wanted or sum(count // share for count in cpus)
    return Pools(
        decode_actors=cluster.decode_actors or max(1, (sum(cpus) - encoders) // 2 if gpus else encoders),
        encode_actors=encoders,
        encode_cpus=0.5 if gpus else max(0.5, share - 0.5),
        encode_gpus=cluster.encode_gpus if gpus else 0.0,
        encode_threads=cluster.encode_threads or share,
    )
