"""A suite -> its queries and candidates in the evaluation lake -> exact scores -> measures, in tables of the lake."""

import json
import secrets
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow.compute as pc

from smart_jobs import progress, schema, storage
from smart_jobs.encode import checkpoint
from smart_jobs.encode.spec import EncoderSpec
from smart_jobs.evaluate import beir, scoring
from smart_jobs.evaluate.scoring import Result, Scored
from smart_jobs.flow import bringing, candidates, query_rows
from smart_jobs.flow.candidates import Corpus
from smart_jobs.index import build
from smart_jobs.lake import layout, matrices, table
from smart_jobs.lake.layout import Lake, Snapshot
from smart_jobs.lake.states import StatesReader
from smart_jobs.records import Asset, Embedding, JobError, Side
from smart_jobs.search import ann, hybrid
from smart_jobs.settings import Evaluate

SOURCE = "evaluation"
UNSCORED = {"pooled": None, "late": None, "hybrid": None}
"""What the JSON says of a scoring that an encoder has not."""


def run(job: Evaluate) -> dict[str, Any]:
    """Score one suite. The JSON object of `smart-jobs evaluate`.

    Queries and candidates are encoded into `<lake>/evaluation` by the ingest flow, each once for all runs; scoring
    again with other weights encodes nothing. Killed at any moment, the next run goes on.
    """
    start = time.monotonic()
    task = beir.load(job.suite.path, job.suite.split)
    spec, _ = checkpoint.resolve(job.encoder, job)
    lake = layout.open_lake(job.lake.uri) if job.suite.candidates == "lake" else layout.create_lake(job.lake.uri)
    own = layout.create_lake(storage.join(lake.uri, "evaluation"))
    tables = layout.create_encoder(own, spec, job.codec)
    queries = {name: _asset(text, "", "query") for name, text in task.queries.items()}
    documents = _documents(job)
    summary = bringing.bring_in([*queries.values(), *documents.values()], tables, job.encoder, bringing.Options.of(job))
    inner = layout.snapshot(tables)
    corpus = _corpus(lake, spec, documents, inner, task)
    scored = _score(job, task.name, inner, queries, corpus)
    weights = hybrid.Weights(job.lambda_pooled, job.lambda_late).of(spec)
    results = scoring.results(scored, task.qrels, weights, spec.pooled_kind)
    versions = {"evaluation": inner.versions(), "candidates": corpus.snapshot.versions()}
    run_id = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
    _store(job, lake, spec, run_id, task.name, results, versions)
    return {
        "suite": job.suite.name,
        "run_id": run_id,
        "encoder": spec.full_name,
        "tasks": {task.name: _task_json(job, scored, results)},
        "mean": {**UNSCORED, **{result.scoring: _rounded(result.mean()) for result in results}},
        "encoded": summary.encoded,
        "failures": summary.failures,
        "seconds": round(time.monotonic() - start, 3),
    }


def dry_run(job: Evaluate) -> dict[str, Any]:
    """What would be encoded and scored."""
    task = beir.load(job.suite.path, job.suite.split)
    documents = _documents(job)
    return {"dry_run": True, "suite": job.suite.name, "task": task.name, "queries": len(task.queries),
            "candidates": len(documents) or "the lake's pages",
            "judgements": sum(len(judged) for judged in task.qrels.values())}  # fmt: skip


def _asset(text: str, title: str, side: Side) -> Asset:
    """An evaluation asset; its stamp is the digest in its URI."""
    uri = query_rows.uri(text, title, side)
    stamp = uri.removeprefix("eval:")
    return Asset(uri, SOURCE, stamp, "row", len(text.encode()), title=title, text=text, side=side)


def _documents(job: Evaluate) -> dict[str, Asset]:
    if job.suite.candidates == "lake":
        return {}
    return {row.id: _asset(row.text, row.title, "document") for row in beir.corpus(storage.absolute(job.suite.path))}


def _corpus(lake: Lake, spec: EncoderSpec, documents: Mapping[str, Asset], inner: Snapshot, task: beir.Task) -> Corpus:
    """The task's own documents, or the pages of the lake where it brings none."""
    if not documents:
        return candidates.of_lake(layout.snapshot(layout.open_encoder(lake, spec.full_name)), task.qrels)
    names = list(documents)
    return candidates.of_assets(inner, names, [documents[name].id for name in names])


def _score(job: Evaluate, task: str, inner: Snapshot, queries: Mapping[str, Asset], corpus: Corpus) -> Scored:
    names, embeddings = _embeddings(inner, queries)
    progress.say(f"evaluate: scoring {len(names):,} queries x {len(corpus.ids):,} segments")
    pooled, late = hybrid.scores(corpus.snapshot, embeddings, corpus.ids)
    mask = _two_stage(job, corpus, np.stack([embedding.pooled for embedding in embeddings]))
    if missing := len(queries) - len(names):
        progress.say(f"evaluate: {missing} queries could not be encoded and count as nothing found")
    rows = np.flatnonzero(np.isin(list(queries), names))
    pooled, late, mask = (_spread(matrix, rows, len(queries)) for matrix in (pooled, late, mask))
    return Scored(task, list(queries), corpus.names, corpus.group_of, corpus.columns, pooled, late, mask)


def _spread(matrix: np.ndarray, rows: np.ndarray, count: int) -> np.ndarray:
    """`count` rows, of which `rows` are those of `matrix`, the others -inf or False: the rows of a task's queries."""
    if len(matrix) == count:
        return matrix
    whole = np.full((count, matrix.shape[1]), False if matrix.dtype == bool else -np.inf, matrix.dtype)
    whole[rows] = matrix
    return whole


def _embeddings(inner: Snapshot, queries: Mapping[str, Asset]) -> tuple[list[str], list[Embedding]]:
    """The stored embeddings of the queries that have one, with their names; a query is its first segment."""
    wanted = {asset.id for asset in queries.values()}
    where = pc.field("asset_id").isin(list(wanted)) & (pc.field("ordinal") == 0)
    rows = table.read(inner.pooled, ["asset_id", "segment_id", "pooled"], where)
    if not rows.num_rows:
        raise JobError("evaluate: none of the queries could be encoded; see `smart-jobs status`")
    vectors = matrices.matrix(rows["pooled"], inner.tables.spec.dim)
    states = StatesReader(inner).read(rows["segment_id"].to_numpy())
    found = {
        asset: Embedding(vectors[i], states.values[states.offsets[i] : states.offsets[i + 1]])
        for i, asset in enumerate(rows["asset_id"].to_pylist())
    }
    names = [name for name, asset in queries.items() if asset.id in found]
    return names, [found[queries[name].id] for name in names]


def _two_stage(job: Evaluate, corpus: Corpus, vectors: np.ndarray) -> np.ndarray:
    """Which segments an index passes on: the lake's own index, or one of the task's candidates made for this run."""
    if job.suite.candidates == "lake":
        rows = hybrid.stage_one(corpus.snapshot, vectors, job.candidates, corpus.ids, filtered=False)
    else:
        stored = hybrid.pooled_vectors(corpus.snapshot, corpus.ids)
        plan = build.plan(len(corpus.ids), corpus.snapshot.tables.spec.dim)
        progress.say(f"evaluate: two-stage over {plan.factory}, nprobe {plan.nprobe}. {plan.why}")
        index = build.build(corpus.ids, stored, plan)
        rows, _ = ann.candidates(index, vectors, min(job.candidates, len(corpus.ids)), plan.nprobe)
    return hybrid.candidate_mask(rows, corpus.ids)


def _task_json(job: Evaluate, scored: Scored, results: Sequence[Result]) -> dict[str, Any]:
    content: dict[str, Any] = {"queries": len(scored.queries), "candidates": len(scored.names), **UNSCORED}
    for result in results:
        content[result.scoring] = _rounded(result.mean())
    content["two_stage"] = {"candidates": job.candidates, **content["two_stage"]}
    return content


def _rounded(measures: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 6) for name, value in measures.items()}


def _store(
    job: Evaluate,
    lake: Lake,
    spec: EncoderSpec,
    run_id: str,
    task: str,
    results: Sequence[Result],
    versions: Mapping[str, Any],
) -> None:
    """Per-query rows first, then the scores that refer to them: a crash between leaves rows of a run nobody lists."""
    rows = [
        {"run_id": run_id, "task": task, "query": query, "scoring": result.scoring,
         "hits": [name for name, _ in hits], "scores": [score for _, score in hits],
         "metrics": list(result.measures.get(query, {}).items())}
        for result in results
        for query, hits in result.hits.items()
    ]  # fmt: skip
    layout.append(lake, schema.EVALUATION_QUERIES, rows, f"evaluation/{run_id}")
    now = datetime.now(UTC)
    means = [
        {"run_id": run_id, "suite": job.suite.name, "task": task, "spec": spec.digest, "scoring": result.scoring,
         "lambda_pooled": job.lambda_pooled, "lambda_late": job.lambda_late, "candidates": job.candidates,
         "queries": len(result.measures), "metrics": list(result.mean().items()),
         "table_versions": json.dumps(versions), "at": now}
        for result in results
    ]  # fmt: skip
    layout.append(lake, schema.EVALUATIONS, means, f"evaluation/{run_id}")
