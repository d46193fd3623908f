"""The library versions that a run is made with: recorded with it, no part of the spec, compared before the next."""

import contextlib
import importlib.metadata

import pyarrow.compute as pc

from smart_jobs import schema
from smart_jobs.lake import table
from smart_jobs.lake.layout import EncoderTables

LIBRARIES = ("deltalake", "faiss-gpu", "faiss-cpu", "numpy", "pyarrow", "pymupdf-lite", "ray", "smart-jobs",
             "tokenizers", "torch", "transformers")  # fmt: skip

SHAPING = ("numpy", "pymupdf-lite", "tokenizers", "torch", "transformers")
"""Libraries whose versions may change a vector."""


def installed() -> dict[str, str]:
    """The installed versions of what shapes the numbers; recorded with every run, no part of the spec."""
    found = {}
    for name in LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def changes(tables: EncoderTables) -> dict[str, tuple[str, str]]:
    """{library: (version of the last finished run, version now)} where they differ; empty before the first run."""
    runs = table.open_table(tables.table_uri(schema.RUNS))
    mine = (pc.field("spec") == tables.spec.digest) & (pc.field("phase") == "end")
    rows = table.read(runs, ["at", "libraries"], mine).sort_by([("at", "descending")]).slice(0, 1).to_pylist()
    if not rows:
        return {}
    before, now = dict(rows[0]["libraries"]), installed()
    return {
        name: (before.get(name, "none"), now.get(name, "none")) for name in SHAPING if before.get(name) != now.get(name)
    }


def described(tables: EncoderTables) -> str:
    """The changes as `torch 2.15.0 -> 2.16.0, …`."""
    return ", ".join(f"{name} {before} -> {now}" for name, (before, now) in changes(tables).items())
