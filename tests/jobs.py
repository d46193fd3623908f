"""Running jobs from tests: in this process, and as a user would."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from smart_jobs import config, settings
from smart_jobs.flow import evaluation, indexing, ingest, searching

ENTRY = "from smart_jobs.cli import entry; entry()"

FLOWS = {
    "ingest": (settings.Ingest, ingest.run),
    "index": (settings.IndexJob, indexing.run),
    "search": (settings.Search, searching.run),
    "evaluate": (settings.Evaluate, evaluation.run),
}


def run(verb: str, *words: str) -> dict[str, Any]:
    """The result of a verb, run in this process with its Ray."""
    model, flow = FLOWS[verb]
    return flow(config.load(model, verb, words))


def start(*words: str, **options: Any) -> subprocess.Popen[str]:
    """A `smart-jobs` of its own, with a Ray of its own; it finds what this Python finds."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", ENTRY, *words]
    options = {"env": environment, **options}
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def smart_jobs(*words: str, **options: Any) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command line."""
    process = start(*words, **options)
    out, err = process.communicate(timeout=240)
    return process.returncode, out, err


def as_json(*words: str, **options: Any) -> tuple[int, dict[str, Any]]:
    """Exit code and the JSON object that `--json` prints, which must be all that is on stdout."""
    code, out, err = smart_jobs(*words, "--json", **options)
    try:
        return code, json.loads(out)
    except ValueError:
        raise AssertionError(f"exit {code}, stdout {out!r}, stderr {err[-2000:]}") from None


def write_corpus(folder: Path, files: int = 12, lines: int = 40) -> Path:
    """Text files of a few passages each, all different, one of them empty."""
    folder.mkdir(parents=True, exist_ok=True)
    words = [
        "lake",
        "river",
        "stone",
        "bridge",
        "forest",
        "cloud",
        "engine",
        "paper",
        "window",
        "garden",
        "music",
        "silver",
        "winter",
        "harbour",
    ]
    for i in range(files):
        text = [
            " ".join(words[(i * 7 + j * 3 + k) % len(words)] for k in range(9)) + f" {i} {j}." for j in range(lines)
        ]
        (folder / f"file{i:03d}.txt").write_text("\n".join(text))
    (folder / "nothing.txt").write_text(" \n")
    return folder


def wait_for(condition, seconds: float = 90) -> None:
    """Return once `condition()` holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened in time"
        time.sleep(0.02)


def actor_processes(stage: str) -> list[int]:
    """Processes that the Ray of this process, and no other on this machine, has named after the stage's class."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            name = path.read_bytes().decode(errors="replace")
        except OSError:
            continue
        pid = int(path.parent.name)
        if name.startswith("ray::") and stage in name and os.getpid() in ancestors(pid):
            found.append(pid)
    return found


def ancestors(pid: int) -> list[int]:
    """The parents of a process, nearest first, as far as they are there."""
    found: list[int] = []
    try:
        while pid > 1:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
            found.append(pid)
    except OSError:
        return []
    return found
