"""The candidates of a task as segments of a snapshot: a suite's own documents, or the pages of a lake."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc

from smart_jobs.lake import table
from smart_jobs.lake.layout import Snapshot
from smart_jobs.records import JobError, UsageError


@dataclass(frozen=True, slots=True)
class Corpus:
    """Candidates of a task: `snapshot` holds their segments `ids` (n,) int64, sorted and unique.

    Segment i belongs to group `group_of[i]`; candidate `names[j]` scores as group `columns[j]`: names with the same
    content share one.
    """

    snapshot: Snapshot
    ids: np.ndarray
    group_of: np.ndarray
    names: Sequence[str]
    columns: np.ndarray


def of_assets(snapshot: Snapshot, names: Sequence[str], assets: Sequence[str]) -> Corpus:
    """The candidates `names` whose content is in `assets` (ids), of a suite's own documents.

    One that could not be encoded has no segment, and so is never found. Raises JobError where none could.
    """
    groups = {asset: group for group, asset in enumerate(dict.fromkeys(assets))}
    rows = table.read(snapshot.pooled, ["segment_id", "asset_id"], pc.field("asset_id").isin(list(groups)))
    rows = rows.sort_by("segment_id")
    if not rows.num_rows:
        raise JobError("evaluate: none of the candidates could be encoded; see `smart-jobs status`")
    group_of = np.array([groups[asset] for asset in rows["asset_id"].to_pylist()])
    columns = np.array([groups[asset] for asset in assets])
    return Corpus(snapshot, rows["segment_id"].to_numpy(), group_of, list(names), columns)


def of_lake(snapshot: Snapshot, qrels: Mapping[str, Mapping[str, float]]) -> Corpus:
    """Every page of a lake: `<uri relative to its source>#page=<n>`, or the URI where there are no pages.

    A page whose relative URI is not unique keeps its whole URI. Raises UsageError where a judged page is not there.
    """
    rows = table.read(snapshot.pooled, ["segment_id", "uri", "source", "page"]).sort_by("segment_id").to_pylist()
    if not rows:
        raise JobError(f"lake {snapshot.tables.lake.uri}: nothing is encoded yet; ingest first")
    names = [_name(row["uri"], row["source"], row["page"]) for row in rows]
    whole = [_name(row["uri"], "", row["page"]) for row in rows]
    owners: dict[str, set[str]] = defaultdict(set)
    for name, uri in zip(names, whole, strict=True):
        owners[name].add(uri)
    names = [name if len(owners[name]) == 1 else uri for name, uri in zip(names, whole, strict=True)]
    distinct = sorted(set(names))
    judged = {name for grades in qrels.values() for name in grades}
    if missing := sorted(judged - set(distinct)):
        raise UsageError(f"qrels: {len(missing)} judged pages are not in the lake, the first is {missing[0]}; "
                         f"the lake's are called like {distinct[0]}")  # fmt: skip
    position = {name: i for i, name in enumerate(distinct)}
    ids = np.array([row["segment_id"] for row in rows], np.int64)
    groups = np.array([position[name] for name in names])
    return Corpus(snapshot, ids, groups, distinct, np.arange(len(distinct)))


def _name(uri: str, source: str, page: int | None) -> str:
    relative = uri.removeprefix(source.rstrip("/") + "/") if source else uri
    return relative if page is None else f"{relative}#page={page}"
