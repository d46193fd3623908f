"""Receipts -> group commits: hidden_states, failures, pooled, assets; rows of changed assets held back for one swap."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from smart_jobs import schema, storage
from smart_jobs.lake import pending as log
from smart_jobs.lake import table
from smart_jobs.lake.known import Known
from smart_jobs.lake.lease import DeposedError, Lease
from smart_jobs.lake.pending import Pending
from smart_jobs.lake.table import EncoderTables, File
from smart_jobs.records import JobError


def roll_forward(tables: EncoderTables, lease: Lease) -> pa.Table:
    """Fence out whoever held the lease before, then finish every commit that a killed run left pending.

    Returns the pooled rows that the last of them still holds back, since their assets are not all there yet. They pass
    on to an empty pending commit of this run: what an earlier one writes from now on is below it and never finished.
    """
    log.fence(tables, lease)
    left = log.listed(tables)
    if left and left[-1].epoch > lease.epoch:
        raise DeposedError(f"{tables.uri}: run {lease.run_id} was deposed by run {left[-1].run_id}")
    for item in left:
        if item.epoch == left[-1].epoch:
            log.apply(tables, item, lease)
    waiting = left[-1].waiting if left else None
    log.write(tables, Pending(lease.version(0), lease.run_id, {}, (), waiting))
    for item in left:
        log.remove(tables, item)
    return _read_waiting(tables, waiting)


def _waiting_uri(tables: EncoderTables, name: str) -> str:
    return storage.join(tables.uri, "_pending", "waiting", name)


def _read_waiting(tables: EncoderTables, name: str | None) -> pa.Table:
    empty: pa.Table = schema.POOLED.columns.empty_table()
    if name is None:
        return empty
    data = storage.read_bytes(_waiting_uri(tables, name))
    return pa.ipc.open_file(pa.py_buffer(data)).read_all()


@dataclass(slots=True)
class Counts:
    """What this run has committed so far."""

    encoded: int = 0
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

    def __init__(self, tables: EncoderTables, lease: Lease, known: Known, waiting: pa.Table) -> None:
        """`waiting` are pooled rows that an earlier run held back."""
        self.counts = Counts()
        self.taken = 0
        self._tables, self._lease, self._known = tables, lease, known
        self._n = 0
        self._units: set[str] = set()
        self._seen: dict[int, tuple[str, int]] = {}
        self._states: list[File] = []
        self._pooled: list[pa.Table] = []
        self._waiting = waiting
        self._failures: list[pa.Table] = []
        self._assets: list[pa.Table] = []
        self._failed: dict[tuple[str, str], set[int]] = defaultdict(set)
        self._last: Pending | None = next(iter(reversed(log.listed(tables))), None)

    def add(self, receipt: pa.Table) -> None:
        """Take the receipt of one unit; `taken` counts the segments accepted so far.

        A unit and a segment id are accepted once a run: Ray may deliver a unit again after a worker died. Raises
        JobError where two segments share an id, or a states file is not where its receipt says (a worker that writes to
        its own disk).
        """
        unit = receipt["unit"][0].as_py()
        if unit in self._units:
            return
        self._units.add(unit)
        rows = _rows(receipt, "pooled", schema.POOLED.columns)
        fresh = self._accept(rows)
        self._failures.append(_rows(receipt, "failures", schema.FAILURES.columns))
        self._assets.append(_rows(receipt, "assets", schema.ASSETS.columns))
        if rows.num_rows and not fresh.num_rows:
            return
        for file in receipt["states"][0].as_py():
            self._check(file["path"], file["size"])
            self._states.append(File(file["path"], file["size"], file["rows"], table.stats(file["rows"])))
            self.counts.states_bytes += file["size"]
        self._sort(fresh)
        self.taken += fresh.num_rows

    def _accept(self, rows: pa.Table) -> pa.Table:
        fresh: list[bool] = []
        keys = zip(rows["segment_id"].to_pylist(), rows["uri"].to_pylist(), rows["ordinal"].to_pylist(), strict=True)
        for segment, uri, ordinal in keys:
            other = self._seen.get(segment)
            if other not in (None, (uri, ordinal)):
                raise JobError(f"segment id {segment} is shared by {uri} ({ordinal}) and {other}")
            fresh.append(other is None)
            self._seen[segment] = (uri, ordinal)
        return rows.filter(pa.array(fresh, pa.bool_()))

    def _check(self, name: str, size: int) -> None:
        uri = storage.join(self._tables.table_uri(schema.HIDDEN_STATES), name)
        found = storage.info(uri).size
        if found != size:
            raise JobError(
                f"{uri}: a worker wrote {size} bytes, {found} are seen here; do all nodes see the same lake?"
            )

    def _sort(self, rows: pa.Table) -> None:
        """New assets' rows go into the next commit; those of assets that have another version wait."""
        waits = [
            bool(self._known.pooled.get(asset, frozenset()) - {version})
            for asset, version in zip(rows["asset_id"].to_pylist(), rows["version"].to_pylist(), strict=True)
        ]
        mask = pa.array(waits, pa.bool_())
        self._pooled.append(rows.filter(pc.invert(mask)))
        if any(waits):
            self._waiting = pa.concat_tables([self._waiting, rows.filter(mask).cast(self._waiting.schema)])

    def commit(self) -> None:
        """Commit everything taken so far as one group; does nothing where there is nothing new."""
        failures, assets = _concat(self._failures, schema.FAILURES), _concat(self._assets, schema.ASSETS)
        pooled = _concat(self._pooled, schema.POOLED)
        if not (self._states or failures.num_rows or assets.num_rows or pooled.num_rows):
            return
        self._note_failures(failures)
        ready, removed_assets = self._ready()
        kept, removes = _without(self._tables, removed_assets)
        adds = {
            schema.HIDDEN_STATES.name: list(self._states),
            schema.FAILURES.name: self._write(schema.FAILURES, failures),
            schema.POOLED.name: self._write(schema.POOLED, pa.concat_tables([pooled, ready, kept])),
            schema.ASSETS.name: self._write(schema.ASSETS, assets),
        }
        self._n += 1
        version = self._lease.version(self._n)
        group = Pending(version, self._lease.run_id, adds, removes, self._save_waiting(version))
        log.write(self._tables, group)
        self.counts.versions |= log.apply(self._tables, group, self._lease)
        self._forget(group)
        self._count(pooled.num_rows + ready.num_rows, adds)
        self._states, self._pooled, self._failures, self._assets = [], [], [], []

    def _write(self, kind: schema.Table, rows: pa.Table) -> list[File]:
        return [table.write_file(self._tables.table_uri(kind), kind, rows)] if rows.num_rows else []

    def _note_failures(self, failures: pa.Table) -> None:
        for row in failures.select(["asset_id", "version", "ordinal", "reason"]).to_pylist():
            self.counts.failures += 1
            self.counts.by_reason[row["reason"]] += 1
            if row["ordinal"] is None:
                self.counts.failed_assets += 1
            else:
                self._failed[row["asset_id"], row["version"]].add(row["ordinal"])

    def _ready(self) -> tuple[pa.Table, dict[str, str]]:
        """The waiting rows whose version is whole now, taken out of the waiting; and {asset: its new version}."""
        groups = self._waiting.group_by(["asset_id", "version"]).aggregate([("ordinal", "distinct"), ("of", "max")])
        ready: dict[str, str] = {}
        for row in groups.to_pylist():
            key = (row["asset_id"], row["version"])
            before = self._known.partial.get(key[0], {}).get(key[1], frozenset())
            accounted = set(row["ordinal_distinct"]) | self._failed[key] | before
            if len(accounted) == row["of_max"]:
                ready[key[0]] = key[1]
        keys = zip(self._waiting["asset_id"].to_pylist(), self._waiting["version"].to_pylist(), strict=True)
        mask = pa.array([ready.get(asset) == version for asset, version in keys], pa.bool_())
        done, self._waiting = self._waiting.filter(mask), self._waiting.filter(pc.invert(mask))
        for asset, version in ready.items():
            self._known.pooled[asset] = frozenset({version})
        return done, ready

    def _save_waiting(self, version: int) -> str | None:
        if not self._waiting.num_rows:
            return None
        name = f"{version:020d}.arrow"
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, self._waiting.schema) as writer:
            writer.write_table(self._waiting)
        storage.write_bytes(_waiting_uri(self._tables, name), sink.getvalue().to_pybytes())
        return name

    def _forget(self, group: Pending) -> None:
        """The newest pending file stays: it names the rows that wait. Applied again, it does nothing."""
        last, self._last = self._last, group
        if last is not None:
            log.remove(self._tables, last)
            if last.waiting is not None:
                storage.delete(_waiting_uri(self._tables, last.waiting))

    def _count(self, encoded: int, adds: dict[str, list[File]]) -> None:
        self.counts.encoded += encoded
        self.counts.pooled_bytes += sum(file.size for file in adds[schema.POOLED.name])


def _rows(receipt: pa.Table, column: str, columns: pa.Schema) -> pa.Table:
    """The list of rows in a receipt's only row, as a table."""
    structs = receipt[column].combine_chunks().flatten()
    return pa.Table.from_batches([pa.RecordBatch.from_struct_array(structs)]).cast(columns)


def _concat(parts: Sequence[pa.Table], kind: schema.Table) -> pa.Table:
    return pa.concat_tables([kind.columns.empty_table(), *parts])


def _without(tables: EncoderTables, replaced: dict[str, str]) -> tuple[pa.Table, list[str]]:
    """What to keep of pooled's files that hold another version of a replaced asset, and the paths of those files."""
    kept: list[pa.Table] = [schema.POOLED.columns.empty_table()]
    removes: list[str] = []
    if replaced:
        pooled = table.open_table(tables.table_uri(schema.POOLED))
        old = pc.field("asset_id").isin(list(replaced))
        stored = table.dataset(pooled)
        for fragment in stored.get_fragments():
            if fragment.count_rows(filter=old):
                rows = fragment.to_table(schema=stored.schema)
                keys = zip(rows["asset_id"].to_pylist(), rows["version"].to_pylist(), strict=True)
                mask = pa.array([replaced.get(asset, version) == version for asset, version in keys], pa.bool_())
                kept.append(rows.filter(mask).select(schema.POOLED.columns.names).cast(schema.POOLED.columns))
                removes.append(fragment.path.rpartition("/")[2])
    return pa.concat_tables(kept), removes
