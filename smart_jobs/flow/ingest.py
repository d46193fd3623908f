"""sources -> decode -> encode and write -> receipts -> commits: one streaming Ray Data execution a run."""

import json
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow as pa

from smart_jobs import progress, schema, sources, storage
from smart_jobs.encode import checkpoint
from smart_jobs.encode.spec import EncoderSpec
from smart_jobs.lake import commit, known, lease, libraries, table
from smart_jobs.lake.commit import Committer
from smart_jobs.lake.lease import Lease
from smart_jobs.lake.table import EncoderTables
from smart_jobs.records import Asset, JobError, Planned
from smart_jobs.settings import Cluster, Encoder, Evaluate, Ingest, Source

FILES_PER_BLOCK = 16
UNITS_PER_BLOCK = 4
FAILED_FROM = 100
"""Assets that must have come through before a share of failures means anything."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a run goes about its work; none of it changes what is computed."""

    cluster: Cluster
    commit_seconds: float
    unit_tokens: int
    batch_tokens: int
    max_failed: float = 1.0
    wait: float = 0.0

    @staticmethod
    def of(job: Ingest | Evaluate) -> "Options":
        """Those of a job's config."""
        if isinstance(job, Evaluate):
            return Options(job.cluster, 30.0, job.unit_tokens, job.batch_tokens)
        return Options(job.cluster, job.commit_seconds, job.unit_tokens, job.batch_tokens, job.max_failed, job.wait)


@dataclass(slots=True)
class Summary:
    """What a run did, as `--json` prints it."""

    run_id: str
    assets: int = 0
    segments: int = 0
    encoded: int = 0
    skipped: int = 0
    failures: int = 0
    failed_by_reason: dict[str, int] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=lambda: {"pooled": 0, "hidden_states": 0})
    seconds: dict[str, float] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)


def run(job: Ingest) -> dict[str, Any]:
    """Bring an encoder's tables up to date with a source. The JSON object of `smart-jobs ingest`.

    Exactly-once: a run that is killed at any moment is finished by the next one. Raises JobError or UsageError.
    """
    start = time.monotonic()
    spec, _ = checkpoint.resolve(job.encoder, job.text)
    assets = listed(job.source, job.lake.uri)
    tables = table.create_encoder(table.create_lake(job.lake.uri), spec, job.codec)
    summary = bring_in(assets, tables, job.encoder, Options.of(job), "ingest")
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


def bring_in(assets: Sequence[Asset], tables: EncoderTables, encoder: Encoder, options: Options, job: str) -> Summary:
    """Encode and commit what the tables lack of `assets`, under the lease. Starts Ray only if there is any."""
    with lease.hold(tables, job, options.wait) as held:
        start = time.monotonic()
        waiting = commit.roll_forward(tables, held)
        have = known.load(tables, waiting)
        plan = [item for item in known.plan(assets, have) if item is not None]
        summary = Summary(held.run_id, assets=len(assets), skipped=len(assets) - len(plan))
        summary.seconds["plan"] = round(time.monotonic() - start, 3)
        progress.say(
            f"ingest: {len(assets):,} assets, {len(plan):,} to open, into {tables.spec.full_name} of {tables.lake.uri} "
            f"({tables.spec.model} {tables.spec.revision[:19]}, states as {tables.codec})"
        )
        _compare(assets, tables, encoder, options)
        if plan:
            committer = Committer(tables, held, have, waiting)
            _stream(plan, committer, run_settings(held, tables, encoder, options), options, summary)
            _sum_up(committer, summary)
            _check_whole([item.asset for item in plan], tables)
        held.summary = json.dumps(asdict(summary))
        return summary


def _compare(assets: Sequence[Asset], tables: EncoderTables, encoder: Encoder, options: Options) -> None:
    """Where libraries changed since the last run, the same segments must still give the same vectors.

    Also in a run with nothing to encode: its end records the new versions as those that the lake is made with.
    """
    if libraries.changes(tables):
        from smart_jobs.encode import encoder as encoders  # late: a night without an upgrade loads no model here
        from smart_jobs.flow import actors, drift

        run = actors.Run("drift", "", "", tables.spec, encoder, options.unit_tokens, options.batch_tokens, threads=1)
        model = encoders.load(tables.spec, checkpoint.locate(encoder), run.threads, run.batch_tokens)
        drift.check(tables, assets, actors.policy(run), model)


def run_settings(held: Lease, tables: EncoderTables, encoder: Encoder, options: Options) -> dict[str, Any]:
    """What `receipts` hands to every actor of the run that holds this lease."""
    return {
        "run_id": held.run_id,
        "lake_uri": tables.lake.uri,
        "lake_id": tables.lake.id,
        "spec": tables.spec,
        "encoder": encoder,
        "unit_tokens": options.unit_tokens,
        "batch_tokens": options.batch_tokens,
    }


def _stream(
    plan: Sequence[Planned], committer: Committer, settings: dict[str, Any], options: Options, summary: Summary
) -> None:
    from smart_jobs.flow import cluster  # late: a run with nothing to do starts no Ray

    start = time.monotonic()
    with cluster.connected(options.cluster), progress.Progress("ingest", len(plan), "assets") as shown:
        cluster.check_lake(settings["lake_uri"], settings["lake_id"])
        summary.seconds["start"] = round(time.monotonic() - start, 3)
        due = time.monotonic() + options.commit_seconds
        assets = 0
        for receipt in receipts(plan, settings, options):
            committer.add(receipt)
            for step, seconds in receipt["seconds"][0].as_py():
                summary.seconds[step] = round(summary.seconds.get(step, 0.0) + seconds, 3)
            done = len(receipt["assets"][0])
            assets += done
            shown.add(done, f"{committer.taken:,} segments, {committer.counts.failures:,} failures")
            if time.monotonic() >= due:
                committer.commit()
                _check_failed(committer.counts.failed_assets, assets, options.max_failed)
                due = time.monotonic() + options.commit_seconds
        committer.commit()
        _check_failed(committer.counts.failed_assets, assets, options.max_failed)
        summary.seconds["stream"] = round(time.monotonic() - start - summary.seconds["start"], 3)


def receipts(plan: Sequence[Planned], settings: dict[str, Any], options: Options) -> Iterator[pa.Table]:
    """One-row receipts as units are done, in any order. Needs a connected Ray."""
    import ray.data  # late, as cluster above
    from ray.exceptions import RayError

    from smart_jobs.flow import actors, cluster

    pools = cluster.pools(options.cluster)
    run = actors.Run(**settings, threads=pools.encode_threads)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.target_max_block_size = 1  # one row a block: a unit is handed on as soon as it is cut
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    units = ray.data.from_arrow(list(blocks(plan, options.unit_tokens))).map_batches(
        actors.DecodeActor,
        fn_constructor_args=(run,),
        batch_size=None,
        batch_format="pyarrow",
        num_cpus=0,
        compute=ray.data.ActorPoolStrategy(size=pools.decode_actors),
    )
    done = units.map_batches(
        actors.EncodeActor,
        fn_constructor_args=(run,),
        batch_size=1,
        batch_format="pyarrow",
        num_cpus=pools.encode_cpus,
        num_gpus=pools.encode_gpus,
        compute=ray.data.ActorPoolStrategy(size=pools.encode_actors),
    )
    try:
        for batch in done.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
            for row in range(batch.num_rows):
                yield batch.slice(row, 1).cast(schema.RECEIPT)
    except RayError as error:
        said = cluster.said_by(error)
        if said is not None:
            raise said from error
        raise


def blocks(plan: Sequence[Planned], unit_tokens: int) -> Iterator[pa.Table]:
    """The plan in pieces that one decode task takes: a few files, or the rows of a few units."""
    rows: list[dict[str, Any]] = []
    weight = 0.0
    for item in plan:
        rows.append(_row(item))
        row = item.asset.media == "row"
        weight += item.asset.size / (UNITS_PER_BLOCK * 4 * unit_tokens) if row else 1 / FILES_PER_BLOCK
        if weight >= 1:
            yield pa.Table.from_pylist(rows, schema=schema.PLANNED)
            rows, weight = [], 0.0
    if rows:
        yield pa.Table.from_pylist(rows, schema=schema.PLANNED)


def _row(item: Planned) -> dict[str, Any]:
    asset = {**asdict(item.asset), "meta": list(item.asset.meta.items())}
    partial = [(version, sorted(ordinals)) for version, ordinals in item.partial.items()]
    return {"asset": asset, "complete": sorted(item.complete), "partial": partial, "attempts": item.attempts}


def _check_failed(failed: int, assets: int, most: float) -> None:
    if assets >= FAILED_FROM and failed > most * assets:
        raise JobError(f"{failed} of {assets} assets failed, more than max_failed={most}; what was good is committed, "
                       "see `smart-jobs status`")  # fmt: skip


def _sum_up(committer: Committer, summary: Summary) -> None:
    counts = committer.counts
    summary.encoded, summary.failures = counts.encoded, counts.failures
    summary.segments = counts.encoded + counts.failures - counts.failed_assets
    summary.failed_by_reason = dict(sorted(counts.by_reason.items()))
    summary.bytes = {"pooled": counts.pooled_bytes, "hidden_states": counts.states_bytes}
    summary.versions = dict(counts.versions)


def _check_whole(assets: Sequence[Asset], tables: EncoderTables) -> None:
    """Every planned asset must be in pooled or in failures now; raises JobError naming one that is not."""
    have = known.load(tables, schema.POOLED.columns.empty_table())
    lost = [
        item.asset.uri
        for item in known.plan(assets, have)
        if item is not None and (item.asset.id, f"stamp:{item.asset.stamp}") not in have.attempts
    ]
    if lost:
        raise JobError(f"{len(lost)} assets are neither encoded nor recorded as failures, e.g. {lost[0]}; run it again")


def dry_run(job: Ingest) -> dict[str, Any]:
    """What a run would do: assets, and estimates of segments, bytes and hours from a few opened ones."""
    from smart_jobs.flow import estimate  # late: it decodes

    spec, _ = checkpoint.resolve(job.encoder, job.text)
    assets = listed(job.source, job.lake.uri)
    return estimate.of(assets, _planned(job, spec, assets), spec, job)


def _planned(job: Ingest, spec: EncoderSpec, assets: Sequence[Asset]) -> list[Planned]:
    try:
        tables = table.open_encoder(table.open_lake(job.lake.uri), spec.full_name)
    except JobError:
        return [Planned(asset) for asset in assets]
    have = known.load(tables, schema.POOLED.columns.empty_table())
    return [item for item in known.plan(assets, have) if item is not None]
