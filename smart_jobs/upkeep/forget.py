"""An asset leaves the tables: rows, rows that wait, states, failures, and what evaluations say of it."""

from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake.exceptions import CommitFailedError, DeltaError

from smart_jobs import schema
from smart_jobs.lake import groups, layout, rewriting, table
from smart_jobs.lake.layout import EncoderTables, Lake
from smart_jobs.lake.lease import Lease
from smart_jobs.lake.table import Change
from smart_jobs.records import JobError
from smart_jobs.upkeep import compact, evaluated, forgotten


def from_encoder(tables: EncoderTables, held: Lease, asset: str) -> int:
    """Take the asset out of both tables and out of the rows that wait; how many rows of pooled went.

    All states that nothing refers to are swept with it: of an older version nobody knows any more whose they were.
    """
    waiting = groups.roll_forward(tables, held)
    waiting.take({asset: ""})
    commits = groups.Groups(tables, held, waiting)
    uri = tables.table_uri(schema.POOLED)
    left = rewriting.rest(table.open_table(uri), schema.POOLED, pc.field("asset_id") == asset, _without(asset))
    stays: pa.Table = pa.concat_tables([schema.POOLED.columns.empty_table(), *left.parts])
    files = [table.write_file(uri, schema.POOLED, stays)] if stays.num_rows else []
    commits.commit({schema.POOLED.name: files}, {schema.POOLED.name: left.removes})
    ids: np.ndarray = waiting.rows["segment_id"].to_numpy()
    compact.states(tables, commits, compact.plan_states(tables, ids, 0))
    held.reached("forgotten")
    return left.gone


def _without(asset: str) -> Callable[[pa.Table], pa.Array]:
    return lambda rows: pc.not_equal(rows["asset_id"], asset)


def from_shared(lake: Lake, asset: str) -> int:
    """Take its rows out of failures, of every encoder, and out of the cache of assets; how many failures went."""
    gone = {kind.name: rewriting.drop(lake, kind, pc.field("asset_id") == asset, _without(asset))
            for kind in forgotten.SHARED}  # fmt: skip
    return gone[schema.FAILURES.name]


def evaluations(lakes: Collection[Lake], asset: str) -> list[str]:
    """The run ids of the outer lake's evaluations that were made from versions in which the asset was."""
    outer, *_ = lakes
    held: dict[str, tuple[str, set[str]]] = {}
    for lake in lakes:
        for name in layout.encoders(lake):
            uri = layout.open_encoder(lake, name).table_uri(schema.POOLED)
            held[table.table_id(table.open_table(uri))] = (uri, set(forgotten.holders(uri, [asset])))
    return [
        run_id
        for run_id, pins in evaluated.pins(outer).items()
        if any(table_id in held and held_in(*held[table_id], version) for table_id, version in pins)
    ]


def held_in(uri: str, files: Collection[str], version: int) -> bool:
    """Whether a version of a table has one of these files; one that cannot be loaded may have had."""
    try:
        return not set(files).isdisjoint(table.files_of(table.open_table(uri, version)))
    except (JobError, DeltaError):
        return True


def from_hits(lake: Lake, uri: str, relative: Collection[str], run_ids: Collection[str]) -> int:
    """Take its pages out of the hits of evaluations, in `run_ids` by its relative names too; how many rows changed."""
    kind = schema.EVALUATION_QUERIES
    table_uri = lake.table_uri(kind)

    def named(hit: str, run_id: str) -> bool:
        names = {hit, hit.partition("#page=")[0]}
        return uri in names or (run_id in run_ids and not names.isdisjoint(relative))

    for attempt in range(table.ATTEMPTS):
        handle = table.open_table(table_uri)
        rows = table.read(handle, kind.columns.names).to_pylist()
        changed = [row for row in rows if any(named(hit, row["run_id"]) for hit in row["hits"])]
        if not changed:
            return 0
        keys = {tuple(row[column] for column in kind.key) for row in changed}
        left = rewriting.rest(handle, kind, pc.field("run_id").isin([key[0] for key in keys]), _others(keys))
        parts = [pa.Table.from_pylist([_without_hits(row, named) for row in changed], schema=kind.columns), *left.parts]
        try:
            file = table.write_file(table_uri, kind, pa.concat_tables(parts))
            table.commit(handle, Change([file], left.removes, {}, {}))
        except CommitFailedError:
            if attempt == table.ATTEMPTS - 1:
                raise
        else:
            break
    return len(changed)


def _others(keys: Collection[tuple[str, ...]]) -> Callable[[pa.Table], pa.Array]:
    columns = schema.EVALUATION_QUERIES.key

    def keep(rows: pa.Table) -> pa.Array:
        found = zip(*(rows[name].to_pylist() for name in columns), strict=True)
        return pa.array([key not in keys for key in found], pa.bool_())

    return keep


def _without_hits(row: dict[str, Any], named: Callable[[str, str], bool]) -> dict[str, Any]:
    pairs = zip(row["hits"], row["scores"], strict=True)
    kept = [(hit, score) for hit, score in pairs if not named(hit, row["run_id"])]
    return {**row, "hits": [hit for hit, _ in kept], "scores": [score for _, score in kept]}
