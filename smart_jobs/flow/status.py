"""What a lake holds. Reads logs and manifests; starts no Ray and loads no model."""

import json
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from smart_jobs import schema, storage
from smart_jobs.index import manifest
from smart_jobs.lake import known, layout, table
from smart_jobs.lake.layout import EncoderTables, Lake
from smart_jobs.settings import Status


def run(job: Status) -> dict[str, Any]:
    """The JSON object of `smart-jobs status`."""
    lake = layout.open_lake(job.lake.uri)
    names = layout.encoders(lake)
    return {
        "lake": lake.uri,
        "encoders": [_encoder(layout.open_encoder(lake, name)) for name in names],
        "failures": _failures(lake),
        "last_run": _last_run(lake),
    }


def _encoder(tables: EncoderTables) -> dict[str, Any]:
    pooled = table.open_table(tables.table_uri(schema.POOLED))
    states = table.open_table(tables.table_uri(schema.HIDDEN_STATES))
    sizes = {"pooled": _bytes(pooled), "hidden_states": _bytes(states)}
    found = [_index(uri, pooled.version()) for uri, _ in _manifests(tables)]
    return {
        "name": tables.spec.name,
        "digest": tables.spec.digest,
        "codec": tables.codec,
        "segments": pooled.count(),
        "stale": _stale(tables),
        "bytes": sizes,
        "indexes": sorted(found, key=lambda index: str(index["index_id"])),
    }


def _stale(tables: EncoderTables) -> int:
    """Assets whose newest version is not the one that is searched: it went bad, or has not all come in."""
    have = known.load(tables, schema.POOLED.columns.empty_table(), known.never())
    return sum(have.stamps[asset][1] not in versions for asset, versions in have.pooled.items() if asset in have.stamps)


def _manifests(tables: EncoderTables) -> list[tuple[str, Any]]:
    files = storage.list_files(storage.join(tables.uri, "indexes"))
    return [(uri.rpartition("/")[0], info) for uri, info in files if uri.endswith(f"/{manifest.MANIFEST}")]


def _index(folder: str, version: int) -> dict[str, Any]:
    made = manifest.read(folder)
    return {
        "index_id": made.index_id,
        "factory": made.factory,
        "vectors": made.vectors,
        "recall_at_10": made.recall_at_10,
        "judged": {name: judged.model_dump() for name, judged in made.judged.items()},
        "bytes": made.bytes,
        "versions_behind": version - made.built_from.version,
    }


def _bytes(handle: DeltaTable) -> int:
    sizes = pa.table(handle.get_add_actions(flatten=True))["size_bytes"]
    return int(pc.sum(sizes).as_py() or 0)


def _failures(lake: Lake) -> dict[str, int]:
    reasons = table.read(table.open_table(lake.table_uri(schema.FAILURES)), ["reason"])["reason"]
    return {str(row["values"]): int(row["counts"]) for row in reasons.value_counts().to_pylist()}


def _last_run(lake: Lake) -> dict[str, Any] | None:
    columns = ["run_id", "phase", "job", "at", "summary"]
    rows = (
        table.read(table.open_table(lake.table_uri(schema.RUNS)), columns).sort_by([("at", "descending")]).to_pylist()
    )
    if not rows:
        return None
    last = rows[0]
    ended = "still running, or killed" if last["phase"] == "start" else last["phase"]
    summary = json.loads(last["summary"]) if last["summary"] else {}
    return {"run_id": last["run_id"], "job": last["job"], "ended": ended, "encoded": summary.get("encoded")}
