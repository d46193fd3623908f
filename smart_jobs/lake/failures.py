"""What `failures` need not say any more: a retry replaces the row before it, success removes it."""

import pyarrow as pa
import pyarrow.compute as pc

from smart_jobs import schema
from smart_jobs.lake import rewriting, table
from smart_jobs.lake.layout import EncoderTables

KEY = ["spec", "asset_id", "version", "ordinal"]


def tidy(tables: EncoderTables) -> int:
    """Take out the rows of this encoder that a later one replaces, or that nothing refers to; how many went.

    A row stays while it is the newest of its key, while its segment is not in pooled, and while its version is the one
    last seen or the one in pooled. Everything is derived from the tables: a crash before it leaves rows that the next
    run takes out, and readers of attempts take the highest.
    """
    failures = table.open_table(tables.table_uri(schema.FAILURES))
    columns = [*KEY, "at", "run_id"]
    mine = (pc.field("spec") == tables.spec.digest) | pc.field("spec").is_null()
    rows = table.read(failures, columns, mine)
    if not rows.num_rows:
        return 0
    void = _void(tables, rows)
    if not void:
        return 0

    def keep(some: pa.Table) -> pa.Array:
        return pa.array([_name(row) not in void for row in some.select(columns).to_pylist()], pa.bool_())

    touched = pc.field("asset_id").isin(list({name[1] for name in void}))
    return rewriting.drop(tables.lake, schema.FAILURES, touched, keep)


Name = tuple[str | None, str, str, int | None, object, str]


def _name(row: dict[str, object]) -> Name:
    """Key, time and run of a row."""
    return tuple(row[column] for column in (*KEY, "at", "run_id"))  # type: ignore[return-value]


def _void(tables: EncoderTables, failures: pa.Table) -> set[Name]:
    assets = pc.unique(failures["asset_id"])
    of_these = pc.field("asset_id").isin(assets)
    pooled = table.read(table.open_table(tables.table_uri(schema.POOLED)), ["asset_id", "version", "ordinal"], of_these)
    seen = table.read(
        table.open_table(tables.table_uri(schema.ASSETS)), ["asset_id", "version", "run_id"], of_these
    ).sort_by("run_id")
    newest = dict(zip(seen["asset_id"].to_pylist(), seen["version"].to_pylist(), strict=True))
    stored = set(zip(*(pooled[name].to_pylist() for name in pooled.column_names), strict=True))
    shown = {(asset, version) for asset, version, _ in stored}
    void: set[Name] = set()
    last: dict[tuple[object, ...], Name] = {}
    for row in failures.sort_by([("at", "ascending"), ("run_id", "ascending")]).to_pylist():
        name = _name(row)
        key, asset, version = name[:4], row["asset_id"], row["version"]
        if key in last:
            void.add(last[key])
        last[key] = name
        own = row["spec"] is not None or row["ordinal"] is None
        gone = own and version != newest.get(asset, version) and (asset, version) not in shown
        if gone or (asset, version, row["ordinal"]) in stored:
            void.add(name)
    return void
