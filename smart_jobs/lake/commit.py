"""Receipts -> group commits: hidden_states, failures, pooled, assets; rows of changed assets held back for one swap."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from smart_jobs import schema, storage
from smart_jobs.lake import rewriting, table, waiting
from smart_jobs.lake.groups import Groups
from smart_jobs.lake.known import Known
from smart_jobs.lake.layout import EncoderTables
from smart_jobs.lake.lease import Lease
from smart_jobs.lake.rewriting import Rest
from smart_jobs.lake.table import File
from smart_jobs.lake.waiting import Waiting
from smart_jobs.records import JobError, content_of


@dataclass(slots=True)
class Counts:
    """What this run has committed so far; `encoded` and `reused` segments also where they wait to be shown."""

    encoded: int = 0
    reused: int = 0
    failures: int = 0
    by_reason: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    failed_assets: int = 0
    pooled_bytes: int = 0
    states_bytes: int = 0
    versions: dict[str, int] = field(default_factory=dict)


class Committer:
    """Collects the receipts of a run and commits them in groups.

    A crash loses what was not committed, and nothing else: a group is either pending, and finished by the next run, or
    it never was and its units are done again.
    """

    def __init__(self, tables: EncoderTables, lease: Lease, known: Known, held_back: Waiting) -> None:
        """`held_back` are pooled rows that an earlier run could not show yet."""
        self.counts = Counts()
        self._tables, self._known, self._waiting = tables, known, held_back
        self._groups = Groups(tables, lease, held_back)
        self._units: set[str] = set()
        self._seen: dict[int, int] = {}
        self._states: list[File] = []
        self._pooled: list[pa.Table] = []
        self._failures: list[pa.Table] = []
        self._assets: list[pa.Table] = []
        self._failed: dict[tuple[str, str], set[int]] = defaultdict(set)

    def add(self, receipt: pa.Table) -> None:
        """Take the receipt of one unit.

        A unit and a segment id are accepted once: Ray may deliver a unit again after a worker died. Raises JobError
        where two segments share an id, or a states file is not where its receipt says (a worker that writes to its own
        disk).
        """
        unit = receipt["unit"][0].as_py()
        if unit in self._units:
            return
        self._units.add(unit)
        rows = _rows(receipt, "pooled", schema.POOLED.columns)
        fresh = rows.filter(self._fresh(rows))
        self._failures.append(_rows(receipt, "failures", schema.FAILURES.columns))
        self._assets.append(_rows(receipt, "assets", schema.ASSETS.columns))
        if rows.num_rows and not fresh.num_rows:
            return
        for file in receipt["states"][0].as_py():
            self._check(file["path"], file["size"])
            self._states.append(File(file["path"], file["size"], file["rows"], table.stats(file["rows"])))
            self.counts.states_bytes += file["size"]
        shown, held_back = waiting.split(fresh, self._known.pooled)
        self._pooled.append(shown)
        self._waiting.add(held_back)
        reused = receipt["reused"][0].as_py()
        self.counts.encoded += fresh.num_rows - reused
        self.counts.reused += reused

    def _fresh(self, rows: pa.Table) -> pa.Array:
        """Which rows are new to the lake; raises JobError where an id is that of another segment."""
        ids = rows["segment_id"].to_numpy()
        names = [hash(name) for name in zip(rows["uri"].to_pylist(), rows["ordinal"].to_pylist(), strict=True)]
        before = _stored(self._tables, ids[np.isin(ids, self._known.segments, assume_unique=False)])
        fresh: list[bool] = []
        for segment, name in zip(ids.tolist(), names, strict=True):
            other = self._seen.get(segment, before.get(segment))
            if other not in (None, name):
                raise JobError(f"segment id {segment} is that of two segments; one is in {_uri(rows, segment)}")
            fresh.append(other is None)
            self._seen[segment] = name
        return pa.array(fresh, pa.bool_())

    def _check(self, name: str, size: int) -> None:
        uri = storage.join(self._tables.table_uri(schema.HIDDEN_STATES), name)
        found = storage.info(uri).size
        if found != size:
            raise JobError(
                f"{uri}: a worker wrote {size} bytes, {found} are seen here; do all nodes see the same lake?"
            )

    def commit(self) -> None:
        """Commit everything taken so far as one group; does nothing where there is nothing new."""
        failures, assets = _concat(self._failures, schema.FAILURES), _concat(self._assets, schema.ASSETS)
        pooled = _concat(self._pooled, schema.POOLED)
        if not (self._states or failures.num_rows or assets.num_rows or pooled.num_rows):
            return
        failures = self._note(failures)
        ready, replaced = self._ready()
        adds = {
            schema.HIDDEN_STATES.name: list(self._states),
            schema.FAILURES.name: self._write(schema.FAILURES, failures),
            schema.POOLED.name: self._write(schema.POOLED, pa.concat_tables([pooled, ready, *replaced.parts])),
            schema.ASSETS.name: self._write(schema.ASSETS, assets),
        }
        self.counts.versions |= self._groups.commit(adds, {schema.POOLED.name: replaced.removes})
        self.counts.pooled_bytes += sum(file.size for file in adds[schema.POOLED.name])
        self._states, self._pooled, self._failures, self._assets = [], [], [], []

    def remove(self, assets: Collection[str]) -> int:
        """Take all rows of these assets out of pooled; how many went. Their states are unreferenced from then on."""
        ids = pa.array(list(assets), pa.string())

        def without(rows: pa.Table) -> pa.Array:
            return pc.invert(pc.is_in(rows["asset_id"], ids))

        pooled = table.open_table(self._tables.table_uri(schema.POOLED))
        left = rewriting.rest(pooled, schema.POOLED, pc.field("asset_id").isin(ids), without)
        if left.gone:
            files = self._write(schema.POOLED, _concat(left.parts, schema.POOLED))
            self.counts.versions |= self._groups.commit({schema.POOLED.name: files}, {schema.POOLED.name: left.removes})
        return left.gone

    def _write(self, kind: schema.Table, rows: pa.Table) -> list[File]:
        return [table.write_file(self._tables.table_uri(kind), kind, rows)] if rows.num_rows else []

    def _note(self, failures: pa.Table) -> pa.Table:
        """Count the failures; the same rows with the attempts of earlier runs added."""
        rows = failures.to_pylist()
        for row in rows:
            part = (row["asset_id"], content_of(row["version"]), row["ordinal"])
            row["attempts"] = self._known.attempts.get(part, 0) + 1
            self.counts.failures += 1
            self.counts.by_reason[row["reason"]] += 1
            if row["ordinal"] is None:
                self.counts.failed_assets += 1
            else:
                self._failed[row["asset_id"], row["version"]].add(row["ordinal"])
        return pa.Table.from_pylist(rows, schema=schema.FAILURES.columns)

    def _ready(self) -> tuple[pa.Table, Rest]:
        """The waiting rows whose version is whole now, and what stays of the files that hold what they replace."""
        ready: dict[str, str] = {}
        for (asset, version), (ordinals, of) in waiting.versions_that_wait(self._waiting.rows).items():
            before = self._known.partial.get(asset, {}).get(version, frozenset())
            if len(ordinals | self._failed[asset, version] | before) == of:
                ready[asset] = version
        for asset, version in ready.items():
            self._known.pooled[asset] = frozenset({version})
        return self._waiting.take(ready), _replaced(self._tables, ready)


def _rows(receipt: pa.Table, column: str, columns: pa.Schema) -> pa.Table:
    """The list of rows in a receipt's only row, as a table."""
    structs = receipt[column].combine_chunks().flatten()
    return pa.Table.from_batches([pa.RecordBatch.from_struct_array(structs)]).cast(columns)


def _concat(parts: Sequence[pa.Table], kind: schema.Table) -> pa.Table:
    return pa.concat_tables([kind.columns.empty_table(), *parts])


def _stored(tables: EncoderTables, ids: np.ndarray) -> dict[int, int]:
    """{segment id: hash of its name} of those among `ids` that pooled has."""
    if not len(ids):
        return {}
    pooled = table.open_table(tables.table_uri(schema.POOLED))
    rows = table.read(pooled, ["segment_id", "uri", "ordinal"], pc.field("segment_id").isin(ids)).to_pylist()
    return {row["segment_id"]: hash((row["uri"], row["ordinal"])) for row in rows}


def _uri(rows: pa.Table, segment: int) -> str:
    return str(rows.filter(pc.equal(rows["segment_id"], segment))["uri"][0].as_py())


def _replaced(tables: EncoderTables, ready: dict[str, str]) -> Rest:
    """What stays of pooled's files that hold another version of these assets."""
    if not ready:
        return Rest((), (), 0)

    def keep(rows: pa.Table) -> pa.Array:
        keys = zip(rows["asset_id"].to_pylist(), rows["version"].to_pylist(), strict=True)
        return pa.array([ready.get(asset, version) == version for asset, version in keys], pa.bool_())

    pooled = table.open_table(tables.table_uri(schema.POOLED))
    return rewriting.rest(pooled, schema.POOLED, pc.field("asset_id").isin(list(ready)), keep)
