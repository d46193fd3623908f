"""A job of its own process that ends itself with SIGKILL at a step: of the commit protocol, or of an evaluation.

python -m killing VERB STEP TIMES RAY key=value …

The steps are the driver's, so it goes without Ray unless RAY is "ray": then its actors go on behind it for a while.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Sequence

from jobs import popen

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


def ingest_until(step: str, times: int, words: Sequence[str], *, ray: bool = False) -> int:
    """Run an ingest that kills itself when `step` is reached for the `times`-th time; its exit code."""
    return run_until("ingest", step, times, words, ray=ray)


def run_until(verb: str, step: str, times: int, words: Sequence[str], *, ray: bool = False) -> int:
    """The same of any job in `jobs.FLOWS` that tells its steps."""
    process = popen(["-m", "killing", verb, step, str(times), "ray" if ray else "alone", *words])
    _, errors = process.communicate(timeout=240)
    assert process.returncode in (0, -signal.SIGKILL), errors[-2000:]
    return process.returncode


def main(verb: str, step: str, times: str, ray: str, *words: str) -> None:
    """The process that is killed."""
    from ingesting import without_ray
    from jobs import FLOWS

    from smart_jobs import config

    left = int(times)

    def reached(name: str) -> None:
        nonlocal left
        left -= name == step
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    model, flow = FLOWS[verb]
    with contextlib.nullcontext() if ray == "ray" else without_ray():
        flow(config.load(model, verb, words), reached)


if __name__ == "__main__":
    main(*sys.argv[1:])
