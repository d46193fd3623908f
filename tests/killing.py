"""A job of its own process that ends itself with SIGKILL at a step: of the commit protocol, or of an evaluation.

python -m killing VERB STEP TIMES key=value …

The steps are the driver's, so it goes without Ray; what Ray's actors do behind a killed driver is in test_kill.py.
"""

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


def ingest_until(step: str, times: int, words: Sequence[str]) -> int:
    """Run an ingest that kills itself when `step` is reached for the `times`-th time; its exit code."""
    return run_until("ingest", step, times, words)


def run_until(verb: str, step: str, times: int, words: Sequence[str]) -> int:
    """The same of any job in `jobs.FLOWS` that tells its steps."""
    process = popen(["-m", "killing", verb, step, str(times), *words])
    _, errors = process.communicate(timeout=240)
    assert process.returncode in (0, -signal.SIGKILL), errors[-2000:]
    return process.returncode


def main(verb: str, step: str, times: str, *words: str) -> None:
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
    with without_ray():
        flow(config.load(model, verb, words), reached)


if __name__ == "__main__":
    main(*sys.argv[1:])
