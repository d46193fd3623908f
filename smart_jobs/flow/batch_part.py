"""A part of the queries -> its answers and failures, in files: what a worker of a batch search does. Needs no Ray."""

import json
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from smart_jobs import schema, storage
from smart_jobs.decode import units
from smart_jobs.encode import checkpoint, encoder
from smart_jobs.encode.encoder import Encoder as Model
from smart_jobs.encode.inflight import InFlight
from smart_jobs.flow import actors, batch_plan
from smart_jobs.flow.actors import Run
from smart_jobs.flow.batch_plan import Plan
from smart_jobs.flow.batch_queries import Part
from smart_jobs.lake import layout
from smart_jobs.lake.rows import Copied
from smart_jobs.records import Embedding, JobError, Planned, Segment
from smart_jobs.search import answers, hybrid, recall
from smart_jobs.search.opened import Opened

UNIT_TOKENS, BATCH_TOKENS = 32_768, 4_096
"""Estimated tokens that are encoded in one go, and padded ones of a pass: as for a single search."""
MEASURED = 64
"""Queries of the first part for which recall is measured."""


@dataclass(frozen=True, slots=True)
class Order:
    """What every worker needs to know; sent to each once."""

    run: Run
    out: str
    plan: Plan
    held: int
    """Bytes of hidden states that a worker holds at a time."""


@dataclass(frozen=True, slots=True)
class Done:
    """A part whose files are written: how many queries it has, how many of them failed, and where the time went."""

    number: int
    queries: int
    failures: int
    seconds: dict[str, float]


class Worker:
    """Answers parts; the model, the index and where the segments lie are loaded once.

    Its files are whole or not there, a part's failures before its answers: a part that is cut off is done again, and
    gives the same bytes. (After two deaths of workers that had it in hand its queries are encoded one at a time, to
    find the one that does it; scores may differ in the seventh digit then. Where one of two workers searches on a GPU,
    near-equal candidates at the end of stage one may be others than the other worker's.)
    """

    def __init__(self, order: Order) -> None:
        """Raises JobError where this node does not see the output, or the pinned versions are gone."""
        run, plan = order.run, order.plan
        if batch_plan.read(order.out) != plan:
            raise JobError(
                f"out={order.out}: node {socket.gethostname()} does not see it; put it where every node does"
            )
        faiss.omp_set_num_threads(run.threads)
        tables = layout.open_encoder(layout.open_lake(run.lake_uri), plan.encoder)
        snapshot = layout.reopened(tables, plan.pins())
        self._order, self._plan = order, plan
        self._lake = Opened(snapshot, Copied(snapshot), plan.index_id, many=True)
        self._policy = replace(actors.policy(run), text_long="truncate")
        self._model: Model | None = None

    def part(self, part: Part) -> Done:
        """Write the answers of a part. Raises JobError where workers keep dying over it."""
        marker = InFlight(
            storage.join(self._order.out, batch_plan.IN_FLIGHT, f"part-{part.number:05}.json"), self._order.run.run_id
        )
        started = time.perf_counter()
        embeddings, failures = self._embedded(part, marker)
        encoded = time.perf_counter()
        good = {name: embeddings[name] for name in part.names if name in embeddings}
        if part.number == 0:
            self._measure(list(good.values()))
        found = self._found(good)
        searched = time.perf_counter()
        self._write(part.number, found, failures)
        marker.done()
        seconds = {"encode": encoded - started, "search": searched - encoded, "write": time.perf_counter() - searched}
        return Done(part.number, len(part.queries), len(failures), seconds)

    def _embedded(self, part: Part, marker: InFlight) -> tuple[dict[str, Embedding], list[dict[str, Any]]]:
        """What each good query is encoded to, by name, and a row for each bad one."""
        name_of = {query.uri: name for name, query in zip(part.names, part.queries, strict=True)}
        good: dict[str, Embedding] = {}
        bad: list[dict[str, Any]] = []
        for unit in units.units(map(Planned, part.queries), self._policy):
            bad += [{**row, "query": name_of[row["uri"]]} for row in unit["failures"][0].as_py()]
            segments = [_as_asked(segment) for segment in units.segments(unit)]
            results = marker.encode(self._load(), segments) if segments else []
            for segment, result in zip(segments, results, strict=True):
                name = name_of[segment.uri]
                if isinstance(result, Embedding):
                    good[name] = result
                else:
                    bad.append({"query": name, "step": result.step, "reason": result.reason, "detail": result.detail})
        return good, bad

    def _load(self) -> Model:
        if self._model is None:
            run = self._order.run
            folder, adapter = checkpoint.locate(run.encoder), checkpoint.adapter(run.encoder)
            self._model = encoder.load(run.spec, folder, run.threads, run.batch_tokens, adapter)
        return self._model

    def _found(self, queries: dict[str, Embedding]) -> pa.Table:
        plan = self._plan
        hits = hybrid.search(
            self._lake,
            list(queries.values()),
            plan.k,
            candidates=plan.candidates,
            weights=hybrid.Weights(plan.lambda_pooled, plan.lambda_late),
            where=plan.where,
            exhaustive=plan.exhaustive,
            fresh=plan.fresh,
            held=self._order.held,
        )
        return answers.table(self._lake.rows, list(queries), hits)

    def _measure(self, queries: Sequence[Embedding]) -> None:
        """Write how much of the exact nearest stage one passes on for the first queries, under the filter."""
        plan, allowed = self._plan, self._lake.allowed(self._plan.where)
        if plan.exhaustive or not queries or not len(allowed):
            return
        vectors = np.stack([query.pooled for query in queries[:MEASURED]])
        rows = hybrid.stage_one(
            self._lake, vectors, plan.candidates, allowed, filtered=plan.where is not None, fresh=plan.fresh
        )
        share = round(recall.stage_one(self._lake, vectors, rows, allowed), 4)
        said = {"recall": share, "nearest": recall.NEAREST, "queries": len(vectors), "segments": len(allowed)}
        storage.write_bytes(storage.join(self._order.out, batch_plan.RECALL), json.dumps(said).encode())

    def _write(self, number: int, found: pa.Table, failures: list[dict[str, Any]]) -> None:
        """The failures first; those of an attempt that was cut off go, where there are none any more."""
        uri, names = batch_plan.failures_uri(self._order.out, number), schema.QUERY_FAILURES.columns.names
        if failures:
            rows = [{name: row[name] for name in names} for row in failures]
            _write(uri, pa.Table.from_pylist(rows, schema=schema.QUERY_FAILURES.columns))
        else:
            storage.delete(uri)
        _write(batch_plan.part_uri(self._order.out, number), found)


def _as_asked(segment: Segment) -> Segment:
    """With videos before images, as a single search has them."""
    return replace(segment, visuals=tuple(sorted(segment.visuals, key=lambda visual: visual.kind != "video")))


def _write(uri: str, rows: pa.Table) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, compression="zstd")
    storage.write_bytes(uri, sink.getvalue().to_pybytes())
