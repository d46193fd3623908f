"""What a suite's tasks consist of, as assets: encoded once for all of them, and looked up again task by task."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from smart_jobs import progress, schema
from smart_jobs.evaluate.tasks import Name, Suite, Task
from smart_jobs.flow import bringing, candidates
from smart_jobs.flow.bringing import Options, Summary
from smart_jobs.keys import Encoder
from smart_jobs.lake import table
from smart_jobs.lake.inventory import Inventory
from smart_jobs.lake.layout import EncoderTables
from smart_jobs.lake.lease import passed_over
from smart_jobs.records import Asset, Side

NAMED = 5
"""Failures of a task that are told one by one."""


def encode(
    suite: Suite,
    tables: EncoderTables,
    encoder: Encoder,
    options: Options,
    reached: Callable[[str], None] = passed_over,
) -> Summary:
    """Bring in what the tables lack of all tasks' queries and candidates, each distinct item once, in one ingest.

    Tasks are read one after the other and given up again. Held are one task and an asset for every distinct item of the
    suite: 0.5 kB, and 14 kB where it has 64 frames. MMEB-V2's largest tasks rank 9,593 pages, 5 MB, or 1,000 candidates
    for each of 1,000 queries: 8 MB of lists, and 0.2 kB for each distinct text, 0.2 GB if none came twice. Killed at
    any moment, the next run goes on where the commits ended.
    """
    assets: dict[str, Asset] = {}
    for name in suite.tasks():
        task = suite.load(name)
        for asset in of_task(task, suite.root):
            assets.setdefault(asset.uri, asset)
        del task
    progress.say(f"evaluate: {len(suite.tasks()):,} tasks of {suite.name}, {len(assets):,} distinct items")
    reached("listed")
    return bringing.bring_in(list(assets.values()), tables, encoder, options)


def of_task(task: Task, root: str) -> Iterator[Asset]:
    """The assets of a task's queries, then of its candidates."""
    yield from (query.item.asset("query", root) for query in task.queries)
    yield from (item.asset("document", root) for item in task.candidates.values())


@dataclass(frozen=True, slots=True)
class Failure:
    """A query or candidate that could not be encoded."""

    side: Side
    name: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Failures:
    """How many queries and candidates of a task could not be encoded, of all why, and the first few."""

    queries: int
    candidates: int
    reasons: Mapping[str, int]
    first: tuple[Failure, ...]


def failures(have: Inventory, queries: Mapping[Name, str], documents: Mapping[Name, str]) -> Failures:
    """What has no segment, of queries and candidates by name, each as the id of its asset."""
    sides: list[tuple[Side, Mapping[Name, str]]] = [("query", queries), ("document", documents)]
    missing = {side: _missing(have, named) for side, named in sides}
    why = _reasons(have.snapshot.tables, [asset for names in missing.values() for asset in names.values()])
    found = [
        Failure(side, str(name), *why.get(asset, ("unknown", "it is in neither pooled nor failures")))
        for side, names in missing.items()
        for name, asset in names.items()
    ]
    reasons = dict(sorted(Counter(failure.reason for failure in found).items()))
    return Failures(len(missing["query"]), len(missing["document"]), reasons, tuple(found[:NAMED]))


def _missing(have: Inventory, named: Mapping[Name, str]) -> dict[Name, str]:
    assets = list(dict.fromkeys(named.values()))
    there = {assets[owner] for owner in candidates.find(have, assets)[1].tolist()}
    return {name: asset for name, asset in named.items() if asset not in there}


def _reasons(tables: EncoderTables, assets: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Reason and detail by asset id."""
    if not assets:
        return {}
    mine = (pc.field("spec") == tables.spec.digest) | pc.field("spec").is_null()
    where = mine & pc.field("asset_id").isin(pa.array(assets, pa.string()))
    columns = ["asset_id", "reason", "detail", "at"]
    rows = table.read(table.open_table(tables.lake.table_uri(schema.FAILURES)), columns, where).sort_by("at")
    return {row["asset_id"]: (row["reason"], row["detail"]) for row in rows.to_pylist()}
