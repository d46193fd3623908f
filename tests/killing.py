"""A job of its own process that ends itself with SIGKILL at a step: of the commit protocol, or of an evaluation.

The process is forked from one that has imported what jobs need: that takes several times as long as the jobs do. It
imports Ray itself, which does nothing in a process that was forked after its import.
"""

import contextlib
import multiprocessing
import os
import signal
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import pytest

STEPS = (
    "claimed",
    "fenced",
    "rolled forward",
    "files written",
    "pending written",
    "hidden_states committed",
    "failures committed",
    "pooled committed",
    "assets committed",
    "pending removed",
    "tidied",
)
"""Every step of an ingest that new assets go through, in the order in which it first reaches them."""

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    ["smart_jobs.flow.evaluation", "smart_jobs.flow.ingest", "smart_jobs.encode.text",
     "transformers.models.bert.modeling_bert"]
)  # fmt: skip


def ingest_until(step: str, times: int, words: Sequence[str], *, ray: bool = False) -> int:
    """Run an ingest that kills itself when `step` is reached for the `times`-th time; its exit code."""
    return run_until("ingest", step, times, words, ray=ray)


def run_until(verb: str, step: str, times: int, words: Sequence[str], *, ray: bool = False) -> int:
    """The same of any job in `jobs.FLOWS` that tells its steps.

    The steps are the driver's, so it goes without Ray unless `ray`: then its actors go on behind it for a while.
    """
    code = forked(_job, verb, step, times, tuple(words), ray)
    assert code in (0, -signal.SIGKILL)
    return code


def forked(target: Callable[..., None], *arguments: Any) -> int:
    """The exit code of a process that does this, in the environment of this one; what it says is printed."""
    with tempfile.NamedTemporaryFile("r") as said:
        process = FORKS.Process(target=_redirected, args=(said.name, dict(os.environ), target, *arguments))
        process.start()
        process.join(240)
        print(said.read())  # noqa: T201  # pytest shows it beside a failure
    if process.exitcode is None:
        process.kill()
        pytest.fail("nothing happened in time")
    return process.exitcode


def _redirected(said: str, environment: dict[str, str], target: Callable[..., None], *arguments: Any) -> None:
    output = os.open(said, os.O_WRONLY)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ.clear()
    os.environ.update(environment)
    multiprocessing.set_start_method("fork", force=True)  # the usual one: else a killed job's semaphores are missed
    target(*arguments)


def _job(verb: str, step: str, times: int, words: Sequence[str], ray: bool) -> None:
    """The process that is killed."""
    from ingesting import without_ray
    from jobs import FLOWS

    from smart_jobs import config

    left = times

    def reached(name: str) -> None:
        nonlocal left
        left -= name == step
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    model, flow = FLOWS[verb]
    with contextlib.nullcontext() if ray else without_ray():
        flow(config.load(model, verb, words), reached)
