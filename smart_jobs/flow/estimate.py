"""What an ingest would cost, from a few opened assets and the last run's rate."""

import json
from collections.abc import Sequence
from typing import Any

import pyarrow.compute as pc

from smart_jobs import codec, schema
from smart_jobs.decode import units
from smart_jobs.encode.spec import EncoderSpec
from smart_jobs.flow import actors
from smart_jobs.lake import table
from smart_jobs.records import Asset, JobError, Planned
from smart_jobs.settings import Ingest

OPENED = 20


def of(assets: Sequence[Asset], plan: Sequence[Planned], spec: EncoderSpec, job: Ingest) -> dict[str, Any]:
    """The JSON of `ingest --dry-run`. `hours` is null where no earlier run gives a rate."""
    step = max(1, len(plan) // OPENED)
    opened = list(plan)[::step][:OPENED]
    segments, tokens = _decode(opened, spec, job)
    scale = len(plan) / len(opened) if opened else 0.0
    kind = job.codec or "int8"
    rate = _rate(job, spec)
    return {
        "dry_run": True,
        "encoder": spec.full_name,
        "assets": len(assets),
        "skipped": len(assets) - len(plan),
        "to_open": len(plan),
        "opened_for_estimate": len(opened),
        "segments": round(segments * scale),
        "bytes": {
            "pooled": round(segments * scale * 4 * spec.dim),
            "hidden_states": round(tokens * scale * codec.size(1, spec.dim, kind) / (spec.pool_factor or 1)),
        },
        "hours": round(segments * scale / rate / 3600, 4) if rate else None,
    }


def _decode(opened: Sequence[Planned], spec: EncoderSpec, job: Ingest) -> tuple[int, int]:
    """Segments and estimated tokens of the opened assets."""
    run = actors.Run("dry-run", "", "", spec, job.encoder, job.unit_tokens, job.batch_tokens, decode=job.decode)
    segments = tokens = 0
    for unit in units.units(opened, actors.policy(run)):
        for row in unit["segments"][0].as_py():
            segments += 1
            tokens += min(len(row["text"]) // units.CHARACTERS_PER_TOKEN + 2, spec.max_length)
    return segments, tokens


def _rate(job: Ingest, spec: EncoderSpec) -> float | None:
    """Segments a second of the newest run of this spec that encoded any."""
    try:
        runs = table.open_table(table.open_lake(job.lake.uri).table_uri(schema.RUNS))
    except JobError:
        return None
    mine = (pc.field("spec") == spec.digest) & (pc.field("phase") == "end")
    rows = table.read(runs, ["run_id", "summary"], mine).sort_by([("run_id", "descending")])
    for text in rows["summary"].to_pylist():
        summary = json.loads(text or "{}")
        if summary.get("encoded") and summary["seconds"].get("stream"):
            return float(summary["encoded"] / summary["seconds"]["stream"])
    return None
