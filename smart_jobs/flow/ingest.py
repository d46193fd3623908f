"""A source -> its assets -> the lake: the ingest job."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from smart_jobs import sources, storage
from smart_jobs.encode import checkpoint
from smart_jobs.encode.spec import EncoderSpec
from smart_jobs.flow import bringing
from smart_jobs.flow.bringing import Options
from smart_jobs.keys import Source
from smart_jobs.lake import groups, known, layout
from smart_jobs.lake.lease import passed_over
from smart_jobs.records import Asset, JobError, Planned
from smart_jobs.settings import Ingest


def run(job: Ingest, reached: Callable[[str], None] = passed_over) -> dict[str, Any]:
    """Bring an encoder's tables up to date with a source. The JSON object of `smart-jobs ingest`.

    Exactly-once: a run that is killed at any moment is finished by the next one. `reached` is told every step of the
    commit protocol. Raises JobError or UsageError.
    """
    start = time.monotonic()
    spec, _ = checkpoint.resolve(job.encoder, job)
    assets = listed(job.source, job.lake.uri)
    tables = layout.create_encoder(layout.create_lake(job.lake.uri), spec, job.codec)
    summary = bringing.bring_in(assets, tables, job.encoder, Options.of(job, reached))
    summary.seconds["total"] = round(time.monotonic() - start, 3)
    return asdict(summary)


def listed(source: Source, lake_uri: str) -> list[Asset]:
    """Every asset of a source, without the lake's own files where it lies inside the source.

    Raises JobError where the store cannot be listed: a part of it is no answer.
    """
    own = storage.absolute(lake_uri) + "/"
    try:
        return [asset for asset in sources.assets(source) if not asset.uri.startswith(own)]
    except OSError as error:
        raise JobError(f"source {source.name}: cannot be listed: {' '.join(str(error).split())[:300]}") from error


def dry_run(job: Ingest) -> dict[str, Any]:
    """What a run would do: assets, and estimates of segments, bytes and hours from a few opened ones."""
    from smart_jobs.flow import estimate  # late: it decodes

    spec, _ = checkpoint.resolve(job.encoder, job)
    assets = listed(job.source, job.lake.uri)
    return estimate.of(assets, _planned(job, spec, assets), spec, job)


def _planned(job: Ingest, spec: EncoderSpec, assets: Sequence[Asset]) -> list[Planned]:
    try:
        tables = layout.open_encoder(layout.open_lake(job.lake.uri), spec.full_name)
    except JobError:
        return [Planned(asset) for asset in assets]
    have = known.load(tables, groups.unfinished(tables).rows, known.passing(job.retry))
    return [item for item in known.plan(assets, have) if item is not None]
