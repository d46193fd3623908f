"""What an evaluation leaves in the lake's tables: a row for each task and scoring, and for each query of them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from smart_jobs import schema
from smart_jobs.encode.spec import EncoderSpec
from smart_jobs.evaluate.scoring import Result
from smart_jobs.evaluate.views import View
from smart_jobs.flow.task_scoring import Scored
from smart_jobs.index import manifest
from smart_jobs.index.manifest import Judged
from smart_jobs.lake import layout
from smart_jobs.lake.layout import Lake
from smart_jobs.search.hybrid import Weights

JUDGED_BY = "ndcg@10"
"""The measure by which an index is judged."""


@dataclass(frozen=True, slots=True)
class Run:
    """What all rows of an evaluation share. `view` and `codec` are what was scored, `encoded` what it brought in."""

    lake: Lake
    run_id: str
    suite: str
    spec: EncoderSpec
    weights: Weights
    view: View
    codec: str
    candidates: int | None
    versions: Mapping[str, Any]
    encoded: int


def store(run: Run, scored: Scored, results: Sequence[Result]) -> None:
    """Per-query rows first, then the scores that refer to them: a crash between leaves rows of a run nobody lists."""
    task, app = scored.task, f"evaluation/{run.run_id}"
    rows = [
        {"run_id": run.run_id, "task": task.name, "query": query, "scoring": result.scoring,
         "hits": [str(name) for name, _ in hits], "scores": [score for _, score in hits],
         "metrics": list(result.measures.get(query, {}).items())}
        for result in results
        for query, hits in result.hits.items()
    ]  # fmt: skip
    layout.append(run.lake, schema.EVALUATION_QUERIES, rows, app)
    means = [{**_shared(run, scored), "scoring": result.scoring, "queries": len(result.measures),
              "metrics": list(result.mean().items())} for result in results]  # fmt: skip
    layout.append(run.lake, schema.EVALUATIONS, means, app)


def judge(run: Run, scored: Scored, results: Sequence[Result]) -> None:
    """Note in the manifest of the lake's index, if it was asked, what two stages keep of the whole scoring's nDCG."""
    found = {result.scoring: result for result in results}
    if scored.index is None or run.candidates is None or not found["two_stage"].measures:
        return
    two_stage, whole = found["two_stage"], found.get("hybrid", found["late"])
    judged = Judged(
        run_id=run.run_id,
        queries=len(two_stage.measures),
        candidates=run.candidates,
        exhaustive=whole.mean()[JUDGED_BY],
        two_stage=two_stage.mean()[JUDGED_BY],
    )
    manifest.judge(scored.index, f"{run.suite}/{scored.task.name}", judged)


def _shared(run: Run, scored: Scored) -> dict[str, Any]:
    """What the rows of a task's scorings have in common."""
    task, failures = scored.task, scored.failures
    return {
        "run_id": run.run_id,
        "suite": run.suite,
        "task": task.name,
        "spec": run.spec.digest,
        "lambda_pooled": run.weights.pooled,
        "lambda_late": run.weights.late,
        "candidates": run.candidates or 0,
        "table_versions": json.dumps(run.versions),
        "at": datetime.now(UTC),
        "category": task.category,
        "modality": task.modality,
        "primary": task.primary,
        "asked": len(task.queries),
        "ranked": len(scored.pool.names),
        "expected_queries": task.expected.get("queries"),
        "expected_candidates": task.expected.get("candidates"),
        "failed_queries": failures.queries,
        "failed_candidates": failures.candidates,
        "failures": list(failures.reasons.items()),
        "mask": run.view.mask or run.spec.mask_of("document"),
        "mask_query": run.view.mask_query or run.spec.mask_of("query"),
        "codec": run.view.codec or run.codec,
        "encoded": run.encoded,
        "seconds": round(scored.seconds, 3),
    }
