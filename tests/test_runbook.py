"""docs/runbook.md quotes messages as the program prints them, and queries that run."""

import ast
import re
from pathlib import Path

import pytest
from lake_making import make_tables

from smart_jobs.flow import sql
from smart_jobs.lake import catalog

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "runbook.md").read_text()
QUOTED = [line.strip() for line in PAGE.splitlines() if line.startswith("    ") and "smart-jobs " not in line[:16]]
SYSTEM = ["No space left on device"]
"""What the operating system says, not we."""


def texts():
    """Every string in the sources, with `…` for what is filled in."""
    for path in (ROOT / "smart_jobs").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


SOURCES = "\n".join(texts())


@pytest.mark.parametrize("line", QUOTED)
def test_a_symptom_is_what_the_program_says(line):
    assert line in SYSTEM or all(part in SOURCES for part in line.split("…") if part.strip())
    assert line in SYSTEM or max(map(len, line.split("…"))) > 12


@pytest.mark.parametrize("query", re.findall(r'smart-jobs sql "(.*?)"', PAGE))
def test_a_query_of_the_runbook_runs(tmp_path, query):
    tables = make_tables(tmp_path)
    assert sql.ask(catalog.of(tables.lake, None), query, None)["rows"] == []
