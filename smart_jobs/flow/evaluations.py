"""The evaluations that a lake has: which one a word names, what it measured, what it found first."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from smart_jobs import schema, storage
from smart_jobs.evaluate import judgements
from smart_jobs.lake import layout, table
from smart_jobs.lake.layout import Lake
from smart_jobs.records import JobError, UsageError

LATEST = "latest"
LISTED = 5
"""Evaluations that a mistake names."""

Key = tuple[str, str, str]
"""Task, scoring, query."""


@dataclass(frozen=True, slots=True)
class Run:
    """One evaluation: the lake that it is in, and its rows of `evaluations`, at least one."""

    lake: Lake
    run_id: str
    rows: list[dict[str, Any]]

    def measured(self) -> dict[str, set[str]]:
        """The names of the measures of each task."""
        found: dict[str, set[str]] = {}
        for row in self.rows:
            found.setdefault(row["task"], set()).update(name for name, _ in row["metrics"])
        return found

    def scorings(self, task: str) -> set[str]:
        """The scorings of a task."""
        return {row["scoring"] for row in self.rows if row["task"] == task}

    def encoder(self) -> str:
        """Name and digest of the encoder, the digest alone where its tables are gone."""
        digest, inner = str(self.rows[0]["spec"]), storage.join(self.lake.uri, "evaluation")
        made = storage.exists(storage.join(inner, "_lake.json"))
        names = layout.encoders(layout.open_lake(inner)) if made else []
        return next((name for name in names if name.endswith(f"-{digest}")), digest)


def find(uri: str, key: str, word: str) -> Run:
    """The evaluation in the lake at `uri` that `key=word` names: `latest`, its id, or a beginning that no other has.

    `latest` is the one that was stored last.

    Raises JobError where there is no lake or no evaluation, UsageError where none or several are named.
    """
    lake = layout.open_lake(uri)
    rows = table.read(table.open_table(lake.table_uri(schema.EVALUATIONS)), schema.EVALUATIONS.columns.names)
    ids = list(dict.fromkeys(rows.sort_by([("at", "ascending"), ("run_id", "ascending")])["run_id"].to_pylist()))
    if not ids:
        raise JobError(f"lake {uri}: nothing is evaluated yet; `smart-jobs evaluate suite=… lake={uri}` does")
    begun = ids[-1:] if word == LATEST else [run_id for run_id in ids if run_id.startswith(word)]
    found = [word] if word in ids else begun
    if len(found) != 1:
        what = "several evaluations begin so" if found else f"no such evaluation in {uri}; the newest are"
        raise UsageError(f"{key}={word}: {what}: {', '.join((found or ids)[-LISTED:])}")
    return Run(lake, found[0], rows.filter(pc.equal(rows["run_id"], found[0])).to_pylist())


def values(side: Run, chosen: Mapping[str, str]) -> dict[str, dict[str, dict[str, float]]]:
    """Task -> scoring -> query -> the measure that `chosen` names for the task; queries without it are left out."""
    rows = _queries(side, ["task", "scoring", "query", "metrics"], pc.field("task").isin(pa.array(chosen, pa.string())))
    columns = {name: _measure(rows["metrics"], name) for name in set(chosen.values())}
    found: dict[str, dict[str, dict[str, float]]] = {}
    for at, (task, scoring, query) in enumerate(_keys(rows)):
        value = columns[chosen[task]][at]
        if not np.isnan(value):
            found.setdefault(task, {}).setdefault(scoring, {})[query] = float(value)
    return found


def first(side: Run, queries: Collection[str]) -> dict[Key, str]:
    """The best candidate of each of these queries, by task, scoring and query; none where nothing was found."""
    rows = _queries(side, ["task", "scoring", "query", "hits"], pc.field("query").isin(pa.array(queries, pa.string())))
    return {key: hits[0] for key, hits in zip(_keys(rows), rows["hits"].to_pylist(), strict=True) if hits}


def _queries(side: Run, columns: list[str], where: Any) -> pa.Table:
    handle = table.open_table(side.lake.table_uri(schema.EVALUATION_QUERIES))
    return table.read(handle, columns, (pc.field("run_id") == side.run_id) & where)


def _keys(rows: pa.Table) -> list[Key]:
    return list(zip(*(rows[name].to_pylist() for name in ("task", "scoring", "query")), strict=True))


def _measure(metrics: pa.ChunkedArray, name: str) -> np.ndarray:
    """(rows,): a measure of every row of a column of maps, as `judgements.value` reads it; NaN where a row has none."""
    plain = name.removesuffix(judgements.CORRECTED)
    found, reference = _entries(metrics, name), _entries(metrics, plain)
    return np.where(np.isnan(found), reference, found)


def _entries(metrics: pa.ChunkedArray, name: str) -> np.ndarray:
    found = [np.empty(0)]
    for chunk in metrics.chunks:
        keys, items, offsets = chunk.keys, chunk.items.to_numpy(zero_copy_only=False), chunk.offsets.to_numpy()
        places = np.flatnonzero(pc.equal(keys, name).to_numpy(zero_copy_only=False))
        places = places[(places >= offsets[0]) & (places < offsets[-1])]
        column = np.full(len(chunk), np.nan)
        column[np.searchsorted(offsets, places, side="right") - 1] = items[places]
        found.append(column)
    return np.concatenate(found)
