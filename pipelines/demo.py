"""The whole path on real documents: the standard library's documentation, from PDFs to measured answers.

    python -m pipelines.demo

Each step is a `smart-jobs` command that is printed before it runs, so that it can be run again by hand.
"""

import json
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from pipelines import demo_corpus

FOLDER = Path("demo")
QUERIES = (
    "measure how long a small piece of code takes",
    "send an email through a mail server",
    "find out which files differ between two folders",
)
NEXT = (
    """search "parse command line options" lake=./demo/lake where="title = 'argparse.pdf'" """.strip(),
    "evaluate suite=beir suite.path=./demo suite.candidates=lake lake=./demo/lake lambda_late=2",
    "ingest source=./your-folder-of-pdfs lake=./lake",
    "status lake=./demo/lake",
)
ENCODER = ("encoder=minilm", "lake=./demo/lake")


def main() -> None:
    """Make the corpus, then ingest, index, evaluate and search it; a second run encodes nothing."""
    start = time.monotonic()
    print(demo_corpus.refresh(FOLDER), flush=True)
    smart_jobs("ingest", "source=./demo/docs", *ENCODER, failures_ok=True)
    smart_jobs("index", *ENCODER)
    scores = result("evaluate", "suite=beir", "suite.path=./demo", "suite.candidates=lake", *ENCODER)
    for query in QUERIES:
        smart_jobs("search", query, "k=3", *ENCODER)
    print(table(scores))
    print(f"\nThe whole run took {time.monotonic() - start:.0f} s.")
    print(f"The lake is in {FOLDER / 'lake'}: plain Delta tables. Try next:")
    for words in NEXT:
        print(f"  .venv/bin/smart-jobs {words}")


def command(*words: str) -> list[str]:
    """The command line of a verb in this environment, printed as a user would type it."""
    print(f"\n$ smart-jobs {shlex.join(words)}", flush=True)
    return [str(Path(sys.executable).with_name("smart-jobs")), *words]


def smart_jobs(*words: str, failures_ok: bool = False) -> None:
    """Run a verb; ends the demo with its exit code if it fails."""
    code = subprocess.run(command(*words), check=False).returncode
    if code and not (failures_ok and code == 3):
        sys.exit(code)


def result(*words: str) -> dict[str, Any]:
    """Run a verb for its JSON object."""
    done = subprocess.run([*command(*words), "--json"], check=False, stdout=subprocess.PIPE)
    if done.returncode:
        sys.exit(done.returncode)
    parsed: dict[str, Any] = json.loads(done.stdout)
    return parsed


def table(scores: dict[str, Any]) -> str:
    """pooled, late and hybrid side by side."""
    [(name, task)] = scores["tasks"].items()
    lines = [
        f"\nKnown-item search over the ingested pages ({name}): {task['queries']} queries, {task['candidates']} pages",
        f"{'':<12}{'nDCG@10':>10}{'recall@10':>12}",
    ]
    names = {"pooled": "pooled", "late": "late", "hybrid": "hybrid", "two_stage": "two-stage"}
    lines += [
        f"{label:<12}{task[key]['ndcg@10']:>10.3f}{task[key]['recall@10']:>12.3f}" for key, label in names.items()
    ]
    return "\n".join([*lines, "two-stage is hybrid over what the IVF-PQ index passed on, the others score every page"])


if __name__ == "__main__":
    main()
