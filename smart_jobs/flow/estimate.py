"""What an ingest would cost, from a few opened assets and the last run's rate."""

import json
from collections.abc import Sequence
from typing import Any

import pyarrow.compute as pc

from smart_jobs import codec, schema
from smart_jobs.decode import units
from smart_jobs.encode.spec import EncoderSpec
from smart_jobs.flow import actors
from smart_jobs.lake import layout, table
from smart_jobs.records import Asset, Codec, JobError, Planned
from smart_jobs.settings import Ingest

OPENED = 20
TOKENS_PER_BYTE = 10
"""More than any file has beyond its first segment: text has less than one, a compressed page or clip perhaps some."""


def of(assets: Sequence[Asset], plan: Sequence[Planned], spec: EncoderSpec, job: Ingest) -> dict[str, Any]:
    """The JSON of `ingest --dry-run`. `hours` is null where no earlier run gives a rate."""
    run = actors.Run("dry-run", "", "", spec, job.encoder, job.unit_tokens, job.batch_tokens, decode=job.decode)
    segments, tokens = sampled(plan, run)
    rate = _rate(job, spec)
    return {
        "dry_run": True,
        "encoder": spec.full_name,
        "assets": len(assets),
        "skipped": len(assets) - len(plan),
        "to_open": len(plan),
        "opened_for_estimate": min(OPENED, len(plan)),
        "segments": round(segments),
        "bytes": stored(segments, tokens, spec, job.codec or "int8"),
        "hours": round(segments / rate / 3600, 4) if rate else None,
    }


def sampled(plan: Sequence[Planned], run: actors.Run) -> tuple[float, float]:
    """Segments and tokens of a plan, from up to `OPENED` of its assets, evenly spread."""
    opened = list(plan)[:: max(1, len(plan) // OPENED)][:OPENED]
    segments, tokens = _decode(opened, run)
    scale = len(plan) / len(opened) if opened else 0.0
    return segments * scale, tokens * scale


def stored(segments: float, tokens: float, spec: EncoderSpec, kind: Codec) -> dict[str, int]:
    """Bytes of so many segments in each table."""
    states = tokens * codec.size(1, spec.dim, kind) / (spec.pool_factor or 1)
    return {"pooled": round(segments * 4 * spec.dim), "hidden_states": round(states)}


def check_space(plan: Sequence[Planned], run: actors.Run, kind: Codec, free: int | None) -> None:
    """Raise JobError where what the plan will write does not fit into `free` bytes (null: a store, which does not say).

    Nothing is opened where it fits by far: a byte of a source hardly holds more than `TOKENS_PER_BYTE` tokens.
    """
    most = sum(item.asset.size * TOKENS_PER_BYTE + run.spec.max_length for item in plan)
    if free is None or sum(stored(most, most, run.spec, kind).values()) < free:
        return
    needed = sum(stored(*sampled(plan, run), run.spec, kind).values())
    if needed > free:
        raise JobError(
            f"lake {run.lake_uri}: about {needed:,} bytes will be written, {free:,} are free; make room, take a "
            "coarser codec=, or bring in less at a time"
        )


def _decode(opened: Sequence[Planned], run: actors.Run) -> tuple[int, int]:
    """Segments and estimated tokens of the opened assets."""
    segments = tokens = 0
    policy = actors.policy(run)
    for unit in units.units(opened, policy):
        for segment in units.segments(unit):
            segments += 1
            tokens += units.estimated(segment, policy)
    return segments, tokens


def _rate(job: Ingest, spec: EncoderSpec) -> float | None:
    """Segments a second of the newest run of this spec that encoded any."""
    try:
        runs = table.open_table(layout.open_lake(job.lake.uri).table_uri(schema.RUNS))
    except JobError:
        return None
    mine = (pc.field("spec") == spec.digest) & (pc.field("phase") == "end")
    rows = table.read(runs, ["run_id", "summary"], mine).sort_by([("run_id", "descending")])
    for text in rows["summary"].to_pylist():
        summary = json.loads(text or "{}")
        if summary.get("encoded") and summary["seconds"].get("stream"):
            return float(summary["encoded"] / summary["seconds"]["stream"])
    return None
