"""A worker of a batch search, queries a second: in parts of several sizes, and one query at a time.

    python -m tests.bench.batch [--segments 5183] [--tokens 200] [--queries 1024]

MiniLM encodes the queries; the lake is made up, of the size of SciFact: random states as int8, `tokens` of them on
average, pooled vectors in 300 clusters, the index that `smart-jobs index` would choose. Starting a worker, encoding and
searching are timed apart. Every way answers the same queries; the share of hits that are the same is printed.
"""

import argparse
import os
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from smart_jobs import codec, config, settings, storage, wire
from smart_jobs.encode import checkpoint
from smart_jobs.flow import batch_plan, batch_queries, batch_search, searching
from smart_jobs.flow.batch_part import Worker
from smart_jobs.index import build, manifest
from smart_jobs.index.manifest import INDEX_FILE, Manifest, Pin
from smart_jobs.lake import layout, writer
from smart_jobs.lake.layout import EncoderTables
from smart_jobs.lake.rows import Scanned
from smart_jobs.records import Embedding
from smart_jobs.search import hybrid, opened
from tests.lake_making import make_committer, make_segment

AT_ONCE, CLUSTERS = 500, 300
SIZES = (256, 64, 16)
ALONE = 64
"""Queries that are asked one at a time."""


def main() -> None:
    """Make the lake, then ask it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--segments", type=int, default=5183)
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--queries", type=int, default=1024)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tables = made(Path(folder), options.segments, options.tokens)
        words = np.array(["lake", "river", "stone", "bridge", "forest", "cloud", "engine", "paper", "window", "garden"])
        picked = np.random.default_rng(1).integers(0, len(words), (options.queries, 12))
        asked = pa.table({"text": [f"{' '.join(words[row])} {i}" for i, row in enumerate(picked)]})
        pq.write_table(asked, f"{folder}/asked.parquet")
        threads = len(os.sched_getaffinity(0))
        print(f"{options.segments:,} segments, {options.queries:,} queries, {threads} threads, "
              f"load {os.getloadavg()[0]:.1f}")  # fmt: skip
        found = {size: answered(tables, folder, size, threads) for size in SIZES}
        alone(tables, folder, found[SIZES[0]])


def made(folder: Path, count: int, tokens: int) -> EncoderTables:
    """The lake with its index."""
    random = np.random.default_rng(0)
    job = config.load(settings.Search, "search", [f"lake={folder}/lake"])
    spec, _ = checkpoint.resolve(job.encoder, job)
    tables = layout.create_encoder(layout.create_lake(str(folder / "lake")), spec, "int8")
    centres = random.standard_normal((CLUSTERS, spec.dim))
    pooled = codec.unit(centres[random.integers(0, CLUSTERS, count)] + random.standard_normal((count, spec.dim)))
    committer, ids = make_committer(tables), []
    for first in range(0, count, AT_ONCE):
        segments = [make_segment(f"/made/{i}", "v", 0, 1) for i in range(first, min(first + AT_ONCE, count))]
        sizes = random.integers(tokens // 2, tokens * 3 // 2, len(segments))
        states = [codec.unit(random.standard_normal((n, spec.dim), np.float32)) for n in sizes]
        embeddings = [Embedding(pooled[first + i], rows) for i, rows in enumerate(states)]
        row = {"unit": f"u{first}", "segments": [], "failures": [], "assets": []}
        unit = pa.Table.from_pylist([row], schema=wire.UNIT)
        committer.add(writer.receipt(tables, unit, segments, embeddings, "r"))
        ids += [segment.segment_id for segment in segments]
    committer.commit()
    index(tables, np.array(ids), pooled)
    return tables


def index(tables: EncoderTables, ids: np.ndarray, vectors: np.ndarray) -> None:
    """The index that would be chosen for so many."""
    plan, pins = build.plan(len(ids), tables.spec.dim), layout.snapshot(tables).versions()
    files = {INDEX_FILE: build.save(build.build(ids, vectors, plan))}
    about = Manifest(
        index_id="made", encoder=tables.spec.full_name, spec=tables.spec.digest, factory=plan.factory,
        nprobe=plan.nprobe, vectors=len(ids), dim=tables.spec.dim, built_from=Pin.model_validate(pins["pooled"]),
        hidden_states=Pin.model_validate(pins["hidden_states"]), recall_at_10=None, recall_queries=0,
        bytes=len(files[INDEX_FILE]), files=manifest.entries(files), created_at=datetime.now(UTC), faiss_version="",
        train_seconds=0, why="",
    )  # fmt: skip
    manifest.write(storage.join(tables.uri, "indexes", "made"), about, files)


def answered(tables: EncoderTables, folder: str, size: int, threads: int) -> pa.Table:
    """All queries in parts of this size by one worker, the recall of the first part apart; the hits."""
    words = [f"lake={tables.lake.uri}", f"queries={folder}/asked.parquet", f"out={folder}/{size}"]
    work = batch_search._prepare(config.load(settings.Search, "search", [*words, f"part_queries={size}"]))
    work = replace(work, plan=work.plan.model_copy(update={"threads": threads}))
    batch_plan.pin(work.out, work.plan)
    start = time.perf_counter()
    worker = Worker(batch_search._order(work))
    worker._load()
    started = time.perf_counter() - start
    parts = list(batch_queries.parts(work.job))
    worker.part(parts[0])  # loads the index
    start = time.perf_counter()
    done = [worker.part(part) for part in parts[1:]]
    seconds, queries = time.perf_counter() - start, sum(part.queries for part in done)
    steps = ", ".join(f"{step} {sum(part.seconds[step] for part in done):.2f}" for step in done[0].seconds)
    print(f"parts of {size:>4}: {queries / seconds:7.1f} queries/s ({steps} s), a worker starts in {started:.1f} s")
    return pa.concat_tables([pq.read_table(f"{folder}/{size}/part-{n:05}.parquet") for n in range(len(parts))])


def alone(tables: EncoderTables, folder: str, wanted: pa.Table) -> None:
    """One query at a time, as embeddings, with the lake opened once, and opened for each."""
    model = searching.lake(tables.lake.uri)
    texts = pq.read_table(f"{folder}/asked.parquet")["text"].to_pylist()[:ALONE]
    asked = model.embedded(texts)
    kept = opened.Opened(model.snapshot, Scanned(model.snapshot))
    for name, lake in (("opened once", lambda: kept), ("opened for each", lambda: opened.newest(tables))):
        start = time.perf_counter()
        found = [hybrid.search(lake(), [query], 10).ids[0].tolist() for query in asked]
        print(f"one at a time, {name}: {ALONE / (time.perf_counter() - start):.1f} queries/s, without encoding")
        ids = wanted["segment_id"].to_pylist()[: 10 * ALONE]
        print(f"  the same hits: {np.mean(np.array(found).reshape(-1) == np.array(ids)):.4f}")


if __name__ == "__main__":
    main()
