"""The command line: verbs, `key=value`, four dashed options, one line per mistake, and the exit codes.

0 done, 1 failed, 2 wrong usage, 3 done with failures recorded. With `--json` stdout holds one JSON object and nothing
else: while a job runs, file descriptor 1 points to stderr, whatever prints.
"""

import contextlib
import ctypes
import importlib
import importlib.metadata
import itertools
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from smart_jobs import config, render, render_compare, render_evaluation, render_explain, settings
from smart_jobs.records import JobError, UsageError
from smart_jobs.strict import Strict

DONE, FAILED, USAGE, WITH_FAILURES = 0, 1, 2, 3


@dataclass(frozen=True, slots=True)
class Verb:
    """A job: its config, the module of flow/ that does it, how its results look to a person, and its exit code."""

    model: type[Strict]
    module: str
    show: Callable[[dict[str, Any]], str]
    code: Callable[[dict[str, Any]], int] = lambda _result: DONE
    show_dry: Callable[[dict[str, Any]], str] = render.plain


def _failures_code(result: dict[str, Any]) -> int:
    return WITH_FAILURES if result.get("failures") else DONE


def _verify_code(result: dict[str, Any]) -> int:
    return DONE if result["whole"] else FAILED


VERBS = {
    "ingest": Verb(settings.Ingest, "smart_jobs.flow.ingest", render.ingest, _failures_code),
    "index": Verb(settings.IndexJob, "smart_jobs.flow.indexing", render.index),
    "search": Verb(settings.Search, "smart_jobs.flow.searching", render.search, _failures_code),
    "explain": Verb(settings.Explain, "smart_jobs.flow.explaining", render_explain.explain),
    "evaluate": Verb(
        settings.Evaluate,
        "smart_jobs.flow.evaluation",
        render_evaluation.evaluate,
        _failures_code,
        render_evaluation.check,
    ),
    "compare": Verb(settings.Compare, "smart_jobs.flow.comparing", render_compare.compare),
    "status": Verb(settings.Status, "smart_jobs.flow.status", render.status),
    "sql": Verb(settings.Sql, "smart_jobs.flow.sql", render.sql),
    "verify": Verb(settings.Verify, "smart_jobs.flow.verifying", render.verify, _verify_code),
    "maintain": Verb(settings.Maintain, "smart_jobs.flow.maintaining", render.maintain),
    "forget": Verb(settings.Forget, "smart_jobs.flow.forgetting", render.forget),
}

READING = ("compare", "status", "verify")
"""Verbs that change nothing by themselves."""

BARE = {"search": ("query",), "explain": ("query",), "sql": ("query",), "compare": ("base", "run")}
"""Keys whose values may stand bare behind the verb, in this order."""

OPTIONS = ("--help", "--dry-run", "--json", "--version")


def entry() -> None:
    """The console script."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: Sequence[str]) -> int:
    """Run one command line; the exit code."""
    options = [argument for argument in arguments if argument.startswith("--")]
    words = [argument for argument in arguments if not argument.startswith("--")]
    try:
        return _main(options, words)
    except UsageError as error:
        return _complain(error, USAGE)
    except JobError as error:
        return _complain(error, FAILED)
    except OSError as error:  # a disk or store that refuses: full, read-only, no permission
        return _complain(" ".join(str(error).split()), FAILED)
    except KeyboardInterrupt:
        return _complain("interrupted; what was committed stays, the next run goes on from there", FAILED)


def _complain(message: object, code: int) -> int:
    for line in str(message).splitlines():
        print(f"smart-jobs: {line}", file=sys.stderr)
    return code


def _main(options: Sequence[str], words: Sequence[str]) -> int:
    unknown = [option for option in options if option not in OPTIONS]
    if unknown:
        raise UsageError(f"{unknown[0]}: unknown option; there are {', '.join(OPTIONS)}, all else is key=value")
    if "--version" in options:
        print(f"smart-jobs {importlib.metadata.version('smart-jobs')}")
        return DONE
    if not words:
        asked = "--help" in options
        usage = render.usage({name: verb.model for name, verb in VERBS.items()})
        print(usage, file=sys.stdout if asked else sys.stderr)
        return DONE if asked else USAGE
    verb = VERBS.get(words[0])
    if verb is None:
        raise UsageError(f"{words[0]}: no such verb; there are {', '.join(VERBS)}")
    if "--help" in options:
        folders = config.conf_folders(next((word[5:] for word in words if word.startswith("conf=")), None))
        groups = {name: config.choices(name, folders) for name in config.GROUPS}
        print(render.help_text(words[0], verb.model, config.keys(verb.model), groups))
        return DONE
    return _run(verb, words[0], _keyed(words[0], words[1:]), set(options))


def _keyed(name: str, words: Sequence[str]) -> list[str]:
    """`search "a question"` is `search query="a question"`, and so it is with what else is in `BARE`."""
    bare = list(itertools.takewhile(lambda word: not config.OVERRIDE.match(word), words[: len(BARE.get(name, ()))]))
    named = [f"{key}={word}" for key, word in zip(BARE.get(name, ()), bare, strict=False)]
    return [*named, *words[len(bare) :]]


def _run(verb: Verb, name: str, words: Sequence[str], options: set[str]) -> int:
    job = config.load(verb.model, name, words)
    dry = "--dry-run" in options
    if dry and name in READING:
        raise UsageError(f"{name} --dry-run: {name} changes nothing; run it without")
    with _stdout_to_stderr():
        module = importlib.import_module(verb.module)  # late: --help and mistakes load neither torch nor ray
        result = module.dry_run(job) if dry else module.run(job)
    if "--json" in options:
        print(json.dumps(result, default=str))
    else:
        print(verb.show_dry(result) if dry else verb.show(result))
    return DONE if dry else verb.code(result)


@contextlib.contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    """Point file descriptor 1 at stderr for the block, for this process and those it starts."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        ctypes.CDLL(None).fflush(None)  # what libraries in C have printed
        os.dup2(kept, 1)
        os.close(kept)
