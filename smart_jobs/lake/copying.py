"""What the lake has of a content under one URI, copied for another: vectors are re-used, nothing is encoded."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from smart_jobs import schema
from smart_jobs.lake import layout, table
from smart_jobs.lake.known import Known
from smart_jobs.lake.layout import EncoderTables, Snapshot
from smart_jobs.lake.reader import StatesReader
from smart_jobs.lake.writer import Copies
from smart_jobs.records import JobError, Planned, asset_id, content_key, segment_id

Order = Mapping[str, Any]
"""A row in the copy schema: the new asset, and the version whose rows it gets."""

ASSET = ["asset_id", "version", "media", "uri"]


def contents(tables: EncoderTables, known: Known, plan: Sequence[Planned]) -> np.ndarray:
    """Sorted keys (`records.content_key`) of the whole versions in pooled; none where the plan has no new URI.

    A version of which something could not be read is not whole: it is read again under its new name.
    """
    if all(item.asset.id in known.pooled for item in plan):
        return np.empty(0, np.uint64)
    rows = table.read(table.open_table(tables.table_uri(schema.POOLED)), ASSET).group_by(ASSET).aggregate([])
    columns = zip(*(rows[name].to_pylist() for name in ASSET), strict=True)
    keys = [
        content_key(version, media, uri)
        for asset, version, media, uri in columns
        if "!" not in version and version in known.complete.get(asset, ())
    ]
    return np.unique(np.array(keys, np.uint64))


def copies(tables: EncoderTables, orders: Sequence[Order], run_id: str) -> Copies:
    """The rows that these orders ask for, under the ids of the new assets.

    The text, the vectors and when they were made are those of the rows that are copied; URI, source, title and meta
    those of the new asset. Raises JobError where the content is there no longer.
    """
    if not orders:
        return Copies()
    snapshot = layout.snapshot(tables)
    rows, failures = _stored(snapshot, {order["version"] for order in orders})
    donors = _donors(rows, failures)
    pooled, failed, old = [], [], []
    for order in orders:
        donor = donors.get(content_key(order["version"], order["asset"]["media"], order["asset"]["uri"]))
        if donor is None:
            raise JobError(f"{order['asset']['uri']}: what the lake had of its content is gone; run it again")
        mine = rows.take(donor)
        old.append(mine["segment_id"].to_numpy())
        pooled.append(_renamed(mine, order, run_id))
        failed.append(_failed(failures, mine, order, run_id))
    states = StatesReader(snapshot).stored(np.concatenate(old))
    made = pa.concat_tables(pooled)
    return Copies(states.set_column(0, schema.HIDDEN_STATES.columns.field(0), made["segment_id"]), made,
                  pa.concat_tables(failed))  # fmt: skip


def _stored(snapshot: Snapshot, versions: set[str]) -> tuple[pa.Table, pa.Table]:
    """The rows of these versions in pooled, and what failed of them."""
    tables = snapshot.tables
    wanted = pc.field("version").isin(list(versions))
    rows = table.read(snapshot.pooled, schema.POOLED.columns.names, wanted).cast(schema.POOLED.columns)
    mine = (pc.field("spec") == tables.spec.digest) | pc.field("spec").is_null()
    failures = table.open_table(tables.table_uri(schema.FAILURES))
    parts = table.read(failures, schema.FAILURES.columns.names, wanted & mine & pc.field("ordinal").is_valid())
    return rows, parts.cast(schema.FAILURES.columns)


def _donors(rows: pa.Table, failures: pa.Table) -> dict[int, list[int]]:
    """By content key, the rows of one asset that is whole."""
    accounted: dict[tuple[str, str], set[int]] = defaultdict(set)
    for part in (rows, failures):
        for asset, version, ordinal in _columns(part, ["asset_id", "version", "ordinal"]):
            accounted[asset, version].add(ordinal)
    found: dict[tuple[str, str], list[int]] = defaultdict(list)
    keys: dict[tuple[str, str], int] = {}
    for i, (asset, version, media, uri, of) in enumerate(_columns(rows, [*ASSET, "of"])):
        if len(accounted[asset, version]) == of:
            found[asset, version].append(i)
            keys[asset, version] = content_key(version, media, uri)
    return {keys[name]: found[name] for name in sorted(found)}


def _columns(rows: pa.Table, names: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    return zip(*(rows[name].to_pylist() for name in names), strict=True)


def _renamed(rows: pa.Table, order: Order, run_id: str) -> pa.Table:
    asset, count = order["asset"], rows.num_rows
    ids = [segment_id(asset["uri"], order["version"], ordinal) for ordinal in rows["ordinal"].to_pylist()]
    values: dict[str, list[Any]] = {"segment_id": ids}
    new = {"asset_id": asset_id(asset["uri"]), "run_id": run_id}
    new |= {name: asset[name] for name in ("uri", "source", "title", "meta")}
    values |= {name: [value] * count for name, value in new.items()}
    return _with(rows, values, schema.POOLED)


def _failed(failures: pa.Table, donor: pa.Table, order: Order, run_id: str) -> pa.Table:
    of_donor = pc.equal(failures["asset_id"], donor["asset_id"][0])
    rows = failures.filter(pc.and_(of_donor, pc.equal(failures["version"], order["version"])))
    asset = order["asset"]
    new = {"asset_id": asset_id(asset["uri"]), "uri": asset["uri"], "source": asset["source"], "run_id": run_id}
    return _with(rows, {name: [value] * rows.num_rows for name, value in new.items()}, schema.FAILURES)


def _with(rows: pa.Table, values: Mapping[str, list[Any]], kind: schema.Table) -> pa.Table:
    for name, column in values.items():
        at = kind.columns.get_field_index(name)
        rows = rows.set_column(at, kind.columns.field(name), pa.array(column, kind.columns.field(name).type))
    return rows
