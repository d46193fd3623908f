"""A suite -> its tasks' queries and candidates in the evaluation lake -> exact scores -> measures, in tables."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from smart_jobs import codec, progress, storage
from smart_jobs.encode import checkpoint
from smart_jobs.encode.spec import EncoderSpec
from smart_jobs.evaluate import check, opening, sweeps, views
from smart_jobs.evaluate.tasks import Suite, Task
from smart_jobs.evaluate.views import View
from smart_jobs.flow import evaluation_rows, evaluation_summary, suite_items, task_scoring
from smart_jobs.flow.bringing import Options
from smart_jobs.flow.candidates import PAGE
from smart_jobs.flow.evaluation_rows import Run
from smart_jobs.flow.reporting import Reporter
from smart_jobs.flow.score_parts import Scorer
from smart_jobs.flow.sweeping import Swept
from smart_jobs.flow.task_scoring import Ground
from smart_jobs.lake import inventory, layout
from smart_jobs.lake.layout import EncoderTables, Lake
from smart_jobs.lake.lease import passed_over
from smart_jobs.records import Codec, JobError, dated_id
from smart_jobs.search.hybrid import Weights
from smart_jobs.settings import Evaluate

BEIR_CANDIDATES = 200
"""Segments that the index passes on where nobody says how many; other suites are not scored in two stages then."""


def run(job: Evaluate, reached: Callable[[str], None] = passed_over) -> dict[str, Any]:
    """Score the suite that a config names. The JSON object of `smart-jobs evaluate`."""
    return of_suite(job, opening.opened(job.suite, job.encoder.family), reached)


def of_suite(job: Evaluate, suite: Suite, reached: Callable[[str], None] = passed_over) -> dict[str, Any]:
    """Score a suite as a job says.

    Queries and candidates of all tasks are encoded into `<lake>/evaluation` by one ingest, each distinct item once for
    all tasks and runs; scoring again with other weights encodes nothing. Killed at any moment, the next run encodes
    what is missing and scores from the first task on. Tasks are read twice, for their items and to be scored, and are
    in memory one at a time. `reached` is told the steps: the ingest's own, and `scored <task>` when it is stored.
    """
    start = time.monotonic()
    spec, _ = checkpoint.resolve(job.encoder, job)
    lake = layout.open_lake(job.lake.uri) if job.suite.candidates == "lake" else layout.create_lake(job.lake.uri)
    tables, pages = _tables(job, lake, spec)
    looks = _looks(job, pages or tables)
    summary = suite_items.encode(suite, tables, job.encoder, Options.of(job, reached), reached)
    ground = _ground(suite.root, tables, pages)
    _check(ground, suite, job.lake.uri)
    held = _held(job, suite, lake, ground, looks[0], summary.encoded)
    swept = Swept(job, pages or tables, looks) if job.sweep.wanted else None
    reporter, tasks = Reporter(suite, held), dict[str, dict[str, Any]]()
    with Scorer(job.cluster, list(dict.fromkeys((lake, tables.lake)))) as scorer:
        for name in suite.tasks():
            tasks[name] = _scored(suite.load(name), ground, scorer, looks, held, reporter, swept)
            progress.say(evaluation_summary.line(name, len(tasks), len(suite.tasks()), tasks[name]))
            reached(f"scored {name}")
    seconds = round(time.monotonic() - start, 3)
    written = reporter.finish(summary.encoded, summary.failures, seconds)
    return {
        "suite": suite.name,
        "run_id": held.run_id,
        "encoder": spec.full_name,
        "tasks": tasks,
        "mean": evaluation_summary.means(tasks),
        **({} if swept is None else {"sweep": swept.finish(lake, held.run_id)}),
        "encoded": summary.encoded,
        "failures": summary.failures,
        **written,
        "seconds": seconds,
    }


def _scored(
    task: Task,
    ground: Ground,
    scorer: Scorer,
    looks: Sequence[View],
    held: Run,
    reporter: Reporter,
    swept: Swept | None,
) -> dict[str, Any]:
    """Score a task, store what came of it and tell it to whoever gathers; its object of the JSON. Then it is let go."""
    found = task_scoring.scored(task, ground, scorer, looks, held.candidates)
    results = task_scoring.results(found, held.weights.of(held.spec), held.spec.pooled_kind)
    evaluation_rows.store(held, found, results)
    evaluation_rows.judge(held, found, results)
    reporter.add(found, results)
    if swept is not None:
        swept.add(found)
    return evaluation_summary.of_task(found, results, held.candidates)


def dry_run(job: Evaluate) -> dict[str, Any]:
    """What there is of the suite, what is missing, and what would be encoded: its data check."""
    suite = opening.opened(job.suite, job.encoder.family)
    return {"dry_run": True, **check.check(suite).as_json()}


def _tables(job: Evaluate, lake: Lake, spec: EncoderSpec) -> tuple[EncoderTables, EncoderTables | None]:
    """The evaluation's own tables, made where there are none, and those of the lake's pages where they are ranked.

    New ones store the finest codec that this run is to score, so that a sweep over several codecs needs no other lake.
    """
    pages = layout.open_encoder(lake, spec.full_name) if job.suite.candidates == "lake" else None
    own = layout.create_lake(storage.join(lake.uri, "evaluation"))
    asked = [kind for kind in (job.codec, *job.sweep.codec) if kind is not None]
    finest = min(asked, key=codec.CODECS.index, default=None)
    there = spec.full_name in layout.encoders(own)
    wanted = finest if pages is None else cast("Codec", pages.codec)
    return layout.create_encoder(own, spec, None if there else wanted), pages


def _looks(job: Evaluate, documents: EncoderTables) -> list[View]:
    """Every view that is scored, the job's own first. Raises JobError for one that the tables do not give."""
    asked = [sweeps.view_of(job), *(point.view for point in sweeps.points(job))]
    return list(dict.fromkeys(views.checked(view, documents) for view in asked))


def _ground(root: str, tables: EncoderTables, pages: EncoderTables | None) -> Ground:
    own = inventory.read(layout.snapshot(tables))
    return Ground(root, own, None if pages is None else inventory.read(layout.snapshot(pages), PAGE))


def _check(ground: Ground, suite: Suite, lake: str) -> None:
    """Raise JobError where there is nothing to score: an evaluation of which nothing could be encoded is none."""
    if not ground.own.rows.num_rows:
        said = 'smart-jobs sql "SELECT reason, detail FROM evaluation_failures"'
        raise JobError(f"evaluate: nothing of {suite.name} could be encoded; `{said} lake={lake}` says why")


def _held(job: Evaluate, suite: Suite, lake: Lake, ground: Ground, view: View, encoded: int) -> Run:
    tables = ground.documents.snapshot.tables
    versions: Mapping[str, Any] = {
        "evaluation": ground.own.snapshot.versions(),
        "candidates": ground.documents.snapshot.versions(),
    }
    return Run(
        lake,
        dated_id(),
        suite.name,
        tables.spec,
        Weights(job.lambda_pooled, job.lambda_late),
        view,
        tables.codec,
        job.candidates or (BEIR_CANDIDATES if suite.name == "beir" else None),
        versions,
        encoded,
    )
