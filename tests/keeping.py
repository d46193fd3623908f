"""A lake that the tests of verify, maintain and forget damage, clean and ask: made without Ray, with real leases."""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
from lake_making import Doc, Run, make_tables

from smart_jobs import schema, storage
from smart_jobs.index import build, manifest
from smart_jobs.index.manifest import INDEX_FILE, Manifest, Pin
from smart_jobs.lake import layout, lease, table
from smart_jobs.lake.layout import EncoderTables
from smart_jobs.lake.reader import StatesReader

DOCS = [Doc("a", "v1", "gbgg"), Doc("b", "v1", "gg"), Doc("c", "v1", ""), Doc("d", "v1", "ggg")]


def ingest(tables: EncoderTables, docs: list[Doc], run: Run | None = None) -> int:
    """A run under a lease, as flow.ingest has it; how many segments were encoded."""
    with lease.hold(tables, "ingest", 0) as held:
        return (run or Run()).ingest(tables, docs, held.epoch)


def make_lake(folder: Path, *rounds: list[Doc], **options) -> EncoderTables:
    tables = make_tables(folder, **options)
    for docs in rounds or (DOCS,):
        ingest(tables, docs)
    return tables


def make_index(tables: EncoderTables, name: str = "made") -> str:
    """An exact index over what pooled holds now; its folder."""
    snapshot = layout.snapshot(tables)
    rows = table.read(snapshot.pooled, ["segment_id", "pooled"])
    ids, vectors = rows["segment_id"].to_numpy(), np.array(rows["pooled"].to_pylist(), np.float32)
    files = {INDEX_FILE: build.save(build.build(ids, vectors, build.plan(len(ids), tables.spec.dim)))}
    pins = snapshot.versions()
    made = Manifest(
        index_id=name,
        encoder=tables.spec.full_name,
        spec=tables.spec.digest,
        factory="Flat",
        nprobe=1,
        vectors=len(ids),
        dim=tables.spec.dim,
        built_from=Pin.model_validate(pins["pooled"]),
        hidden_states=Pin.model_validate(pins["hidden_states"]),
        recall_at_10=None,
        recall_queries=0,
        bytes=1,
        files=manifest.entries(files),
        created_at=datetime.now(UTC),
        faiss_version="made",
        train_seconds=0,
        why="made",
    )
    folder = storage.join(tables.uri, "indexes", name)
    manifest.write(folder, made, files)
    return folder


def evaluate(tables: EncoderTables, run_id: str, pins: dict | None = None, hits: tuple[str, ...] = ("b",)) -> None:
    """Rows of an evaluation that pins what the tables hold now, or `pins`."""
    versions = json.dumps({"evaluation": {}, "candidates": pins or layout.snapshot(tables).versions()})
    row = {"run_id": run_id, "suite": "made", "task": "t", "spec": tables.spec.digest, "scoring": "pooled",
           "lambda_pooled": 1.0, "lambda_late": 1.0, "candidates": 1, "queries": 1, "metrics": [],
           "table_versions": versions, "at": datetime.now(UTC)}  # fmt: skip
    query = {"run_id": run_id, "task": "t", "query": "q", "scoring": "pooled", "hits": list(hits),
             "scores": [1.0] * len(hits), "metrics": []}  # fmt: skip
    layout.append(tables.lake, schema.EVALUATION_QUERIES, [query], f"evaluation/{run_id}")
    layout.append(tables.lake, schema.EVALUATIONS, [row], f"evaluation/{run_id}")


def states(tables: EncoderTables) -> dict[int, bytes]:
    """{segment id: its decoded states} of all that a reader sees."""
    snapshot = layout.snapshot(tables)
    ids = np.sort(table.read(snapshot.pooled, ["segment_id"])["segment_id"].to_numpy())
    found = StatesReader(snapshot).read(ids)
    parts = zip(ids, found.offsets[:-1], found.offsets[1:], strict=True)
    return {int(name): found.values[first:last].tobytes() for name, first, last in parts}


def data_files(tables: EncoderTables, kind: schema.Table) -> list[Path]:
    """The files of a table's newest version, sorted."""
    uri = tables.table_uri(kind)
    return sorted(Path(uri) / name for name in table.files_of(table.open_table(uri)))


def replace_file(tables: EncoderTables, kind: schema.Table, path: Path, rows: pa.Table) -> None:
    """Put other rows into a table, in the place of one of its files, by an honest commit."""
    uri = tables.table_uri(kind)
    handle = table.open_table(uri)
    file = table.write_file(uri, kind, rows)
    version = table.open_table(tables.table_uri(schema.HIDDEN_STATES)).version()
    named = {"hidden_states_version": str(version)} if kind is schema.POOLED else {}
    table.commit(handle, table.Change([file], [path.name], {}, named))
