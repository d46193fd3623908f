"""The candidates of a task as segments of a snapshot: a suite's own items, or the pages of a lake."""

from collections import defaultdict
from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from smart_jobs.evaluate.tasks import Name
from smart_jobs.lake.inventory import Inventory, Located
from smart_jobs.records import JobError, UsageError

PAGE = ("uri", "source", "page")
"""What names the pages of a lake."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """Candidates of a task: `located` are their segments (s,), sorted by id.

    Segment i belongs to group `group_of[i]`; candidate `names[j]` scores as group `columns[j]`: names with the same
    content share one. A group without a segment could not be encoded.
    """

    located: Located
    group_of: np.ndarray
    names: Sequence[Name]
    columns: np.ndarray


def of_assets(have: Inventory, names: Sequence[Name], assets: Sequence[str]) -> Corpus:
    """The candidates `names` whose content is in `assets` (ids), of a suite's own items.

    One that could not be encoded has no segment, and so is never found.
    """
    groups = {asset: group for group, asset in enumerate(dict.fromkeys(assets))}
    at, group_of = find(have, list(groups))
    order = np.argsort(have.rows["segment_id"].to_numpy()[at])
    columns = np.array([groups[asset] for asset in assets], np.int64)
    return Corpus(have.located(at[order]), group_of[order], names, columns)


def find(have: Inventory, assets: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The rows (m,) of an inventory that belong to one of these assets (ids), and the place (m,) of whose it is."""
    found = pc.index_in(have.rows["asset_id"], value_set=pa.array(assets, pa.string()))
    owner = pc.fill_null(found, -1).to_numpy().astype(np.int64)
    at = np.flatnonzero(owner >= 0)
    return at, owner[at]


def of_lake(have: Inventory, judged: Set[Name]) -> Corpus:
    """Every page of a lake: `<uri relative to its source>#page=<n>`, or the URI where there are no pages.

    `have` has the columns `PAGE`. A page whose relative URI is not unique keeps its whole URI. Raises JobError where
    the lake is empty, UsageError where a judged page is not there.
    """
    order = np.argsort(have.rows["segment_id"].to_numpy())
    rows = have.rows.select(list(PAGE)).take(pa.array(order)).to_pylist()
    if not rows:
        raise JobError(f"lake {have.snapshot.tables.lake.uri}: nothing is encoded yet; ingest first")
    names = _distinct(rows)
    distinct = sorted(set(names))
    if missing := sorted(map(str, judged - set(distinct))):
        raise UsageError(f"qrels: {len(missing)} judged pages are not in the lake, the first is {missing[0]}; "
                         f"the lake's are called like {distinct[0]}")  # fmt: skip
    position = {name: i for i, name in enumerate(distinct)}
    groups = np.array([position[name] for name in names])
    return Corpus(have.located(order), groups, distinct, np.arange(len(distinct)))


def _distinct(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The names of pages, row by row."""
    names = [_name(row["uri"], row["source"], row["page"]) for row in rows]
    whole = [_name(row["uri"], "", row["page"]) for row in rows]
    owners: dict[str, set[str]] = defaultdict(set)
    for name, uri in zip(names, whole, strict=True):
        owners[name].add(uri)
    return [name if len(owners[name]) == 1 else uri for name, uri in zip(names, whole, strict=True)]


def _name(uri: str, source: str, page: int | None) -> str:
    relative = uri.removeprefix(source.rstrip("/") + "/") if source else uri
    return relative if page is None else f"{relative}#page={page}"
