"""Assets -> plan -> receipts -> commits: what a lake lacks of them comes in, what is gone is reported."""

import json
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, cast

from smart_jobs import progress, storage
from smart_jobs.encode import checkpoint
from smart_jobs.keys import Cluster, Decode, Encoder
from smart_jobs.lake import copying, failures, groups, known, lease, libraries, pending, prune
from smart_jobs.lake.commit import Committer
from smart_jobs.lake.layout import EncoderTables
from smart_jobs.lake.lease import Lease, passed_over
from smart_jobs.records import Asset, Codec, JobError, Planned
from smart_jobs.settings import Evaluate, Ingest

if TYPE_CHECKING:
    from smart_jobs.flow.actors import Run

FAILED_FROM = 100
"""Assets that must have come through before a share of failures means anything."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a run goes about its work; none of it changes what is computed.

    `sources` are the names of those that are listed whole in this run: what the lake has of them beyond that is gone.
    """

    job: str
    cluster: Cluster
    unit_tokens: int
    batch_tokens: int
    commit_seconds: float = 30.0
    max_failed: float = 1.0
    wait: float = 0.0
    retry: Collection[str] = ()
    sources: Collection[str] = ()
    prune: bool = False
    max_pruned: float = 0.0
    decode: Decode = field(default_factory=Decode)
    reached: Callable[[str], None] = passed_over

    @staticmethod
    def of(job: Ingest | Evaluate, reached: Callable[[str], None] = passed_over) -> "Options":
        """Those of a job's config; `reached` as in `lake.lease.Lease`."""
        if isinstance(job, Evaluate):
            return Options(
                "evaluate",
                job.cluster,
                job.unit_tokens,
                job.batch_tokens,
                commit_seconds=job.commit_seconds,
                retry=job.retry,
                decode=job.decode,
                reached=reached,
            )
        return Options(
            "ingest",
            job.cluster,
            job.unit_tokens,
            job.batch_tokens,
            commit_seconds=job.commit_seconds,
            max_failed=job.max_failed,
            wait=job.wait,
            retry=job.retry,
            sources=(job.source.name,),
            prune=job.prune,
            max_pruned=job.max_pruned,
            decode=job.decode,
            reached=reached,
        )


@dataclass(slots=True)
class Summary:
    """What a run did, as `--json` prints it; `run_id` is null where there was nothing to do.

    `reused` counts the segments whose content the lake had under another URI. `removed` are the assets that the lake
    has of the source and the source has no more; `pruned` those of them that were deleted.
    """

    run_id: str | None = None
    assets: int = 0
    segments: int = 0
    encoded: int = 0
    reused: int = 0
    skipped: int = 0
    removed: int = 0
    pruned: int = 0
    failures: int = 0
    failed_by_reason: dict[str, int] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=lambda: {"pooled": 0, "hidden_states": 0})
    seconds: dict[str, float] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)


def bring_in(assets: Sequence[Asset], tables: EncoderTables, encoder: Encoder, options: Options) -> Summary:
    """Encode and commit what the tables lack of `assets`, under the lease.

    Where nothing is lacking it takes no lease, commits nothing and starts no Ray.
    """
    start = time.monotonic()
    summary = Summary(assets=len(assets), skipped=len(assets))
    if _nothing_to_do(assets, tables, options, summary):
        summary.seconds["plan"] = round(time.monotonic() - start, 3)
        return summary
    with lease.hold(tables, options.job, options.wait, options.reached) as held:
        _under_lease(assets, held, tables, encoder, options, summary)
        held.summary = json.dumps(asdict(summary))
    return summary


def _nothing_to_do(assets: Sequence[Asset], tables: EncoderTables, options: Options, summary: Summary) -> bool:
    """Whether the lake is up to date already; a file that another run deletes meanwhile says that it may not be."""
    try:
        have = known.load(tables, groups.unfinished(tables).rows, known.passing(options.retry))
        if any(known.plan(assets, have)) or not pending.settled(tables) or libraries.changes(tables):
            return False
    except FileNotFoundError:
        return False
    gone = prune.gone(tables, options.sources, [asset.id for asset in assets])
    summary.removed = len(gone.assets)
    return not (options.prune and gone.assets)


def _under_lease(
    assets: Sequence[Asset],
    held: Lease,
    tables: EncoderTables,
    encoder: Encoder,
    options: Options,
    summary: Summary,
) -> None:
    start = time.monotonic()
    waiting = groups.roll_forward(tables, held)
    have = known.load(tables, waiting.rows, known.passing(options.retry))
    plan = [item for item in known.plan(assets, have) if item is not None]
    summary.run_id, summary.skipped = held.run_id, len(assets) - len(plan)
    summary.seconds["plan"] = round(time.monotonic() - start, 3)
    progress.say(
        f"ingest: {len(assets):,} assets, {len(plan):,} to open, into {tables.spec.full_name} of {tables.lake.uri} "
        f"({tables.spec.model} {tables.spec.revision[:19]}, states as {tables.codec})"
    )
    _compare(assets, tables, encoder, options)
    committer = Committer(tables, held, have, waiting)
    if plan:
        from smart_jobs.flow import actors, estimate  # late: a run with nothing to encode needs no decoder

        run = actors.Run(held.run_id, tables.lake.uri, tables.lake.id, tables.spec, encoder, options.unit_tokens,
                  options.batch_tokens, decode=options.decode,
                         contents=copying.contents(tables, have, plan))  # fmt: skip
        estimate.check_space(plan, run, cast("Codec", tables.codec), storage.free(tables.lake.uri))
        _stream(plan, committer, run, options, summary)
        _check_whole([item.asset for item in plan], tables)
    _prune(assets, committer, tables, options, summary)
    failures.tidy(tables)
    held.reached("tidied")
    _sum_up(committer, summary)


def _prune(
    assets: Sequence[Asset], committer: Committer, tables: EncoderTables, options: Options, summary: Summary
) -> None:
    """Report what the sources have no more; delete it where the run may, and where it is not suspiciously much."""
    gone = prune.gone(tables, options.sources, [asset.id for asset in assets])
    summary.removed = len(gone.assets)
    if not gone.assets or not options.prune:
        return
    if len(gone.assets) > options.max_pruned * gone.of:
        progress.say(
            f"ingest: {len(gone.assets):,} of {gone.of:,} assets are gone from the source, more than "
            f"max_pruned={options.max_pruned}: nothing is deleted; if they are meant to go, say max_pruned=1"
        )
        return
    committer.remove(gone.assets)
    prune.forget_failures(tables, gone.assets)
    summary.pruned = len(gone.assets)


def _compare(assets: Sequence[Asset], tables: EncoderTables, encoder: Encoder, options: Options) -> None:
    """Where libraries changed since the last run, the same segments must still give the same vectors.

    Also in a run with nothing to encode: its end records the new versions as those that the lake is made with.
    """
    if libraries.changes(tables):
        from smart_jobs.encode import encoder as encoders  # late: a night without an upgrade loads no model here
        from smart_jobs.flow import actors, drift

        run = actors.Run("drift", "", "", tables.spec, encoder, options.unit_tokens, options.batch_tokens)
        model = encoders.load(tables.spec, checkpoint.locate(encoder), run.threads, run.batch_tokens)
        drift.check(tables, assets, actors.policy(run), model)


def _stream(plan: Sequence[Planned], committer: Committer, run: "Run", options: Options, summary: Summary) -> None:
    from smart_jobs.flow import cluster, stream  # late: a run with nothing to do starts no Ray

    start = time.monotonic()
    with cluster.connected(options.cluster), progress.Progress("ingest", len(plan), "assets") as shown:
        cluster.check_lake(run.lake_uri, run.lake_id)
        summary.seconds["start"] = round(time.monotonic() - start, 3)
        due = time.monotonic() + options.commit_seconds
        assets = 0
        for receipt in stream.receipts(plan, run, options.cluster):
            committer.add(receipt)
            for step, seconds in receipt["seconds"][0].as_py():
                summary.seconds[step] = round(summary.seconds.get(step, 0.0) + seconds, 3)
            done = len(receipt["assets"][0])
            assets += done
            shown.add(done, f"{committer.counts.encoded:,} segments, {committer.counts.failures:,} failures")
            if time.monotonic() >= due:
                committer.commit()
                _check_failed(committer.counts.failed_assets, assets, options.max_failed)
                due = time.monotonic() + options.commit_seconds
        committer.commit()
        _check_failed(committer.counts.failed_assets, assets, options.max_failed)
        summary.seconds["stream"] = round(time.monotonic() - start - summary.seconds["start"], 3)


def _check_failed(failed: int, assets: int, most: float) -> None:
    if assets >= FAILED_FROM and failed > most * assets:
        raise JobError(f"{failed} of {assets} assets failed, more than max_failed={most}; what was good is committed, "
                       "see `smart-jobs status`")  # fmt: skip


def _sum_up(committer: Committer, summary: Summary) -> None:
    counts = committer.counts
    summary.encoded, summary.reused, summary.failures = counts.encoded, counts.reused, counts.failures
    summary.segments = counts.encoded + counts.reused + counts.failures - counts.failed_assets
    summary.failed_by_reason = dict(sorted(counts.by_reason.items()))
    summary.bytes = {"pooled": counts.pooled_bytes, "hidden_states": counts.states_bytes}
    summary.versions = dict(counts.versions)


def _check_whole(assets: Sequence[Asset], tables: EncoderTables) -> None:
    """Every planned asset must be in pooled or in failures now; raises JobError naming one that is not."""
    have = known.load(tables, groups.unfinished(tables).rows, known.never())
    lost = [item.asset.uri for item in known.plan(assets, have) if item is not None]
    if lost:
        raise JobError(f"{len(lost)} assets are neither encoded nor recorded as failures, e.g. {lost[0]}; run it again")
