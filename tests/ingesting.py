"""Jobs in this process and without Ray: the stages' and workers' own code, one unit or part after the other."""

import contextlib
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pytest
from lake_making import make_committer

from smart_jobs import config, settings, sources, wire
from smart_jobs.decode import units
from smart_jobs.encode import checkpoint, encoder
from smart_jobs.flow import actors, batch_part, batch_workers, cluster, stream
from smart_jobs.keys import Cluster
from smart_jobs.lake import layout
from smart_jobs.lake.layout import EncoderTables
from smart_jobs.records import Planned


def receipts(
    plan: Sequence[Planned], run: actors.Run, on: Cluster, encode: type[actors.Encode] = actors.EncodeActor
) -> Iterator[pa.Table]:
    """`flow.stream.receipts`, with an actor of each stage in this process."""
    decoding, encoding = actors.DecodeActor(run), encode(run)
    for block in stream.blocks(plan, run.unit_tokens):
        for made in decoding(block):
            for row in range(made.num_rows):
                yield encoding(made.slice(row, 1)).cast(wire.RECEIPT)


def spread(parts: Iterator[batch_part.Part], order: batch_part.Order, *_: object) -> Iterator[batch_part.Done]:
    """`flow.batch_workers.spread`, with a worker in this process."""
    worker = batch_part.Worker(order)
    return map(worker.part, parts)


@contextlib.contextmanager
def without_ray() -> Iterator[None]:
    """Jobs of this process do in it what they would have Ray do: a worker takes ten seconds to import what it needs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "receipts", receipts)
        patch.setattr(batch_workers, "spread", spread)
        patch.setattr(cluster, "pools", lambda on: cluster.shared([2], 0, on))
        patch.setattr(cluster, "connected", lambda _: contextlib.nullcontext())
        patch.setattr(cluster, "check_lake", lambda *_: None)
        yield


def ingest(*words: str) -> EncoderTables:
    """What `smart-jobs ingest` with these words brings into an empty lake."""
    job = config.load(settings.Ingest, "ingest", words)
    spec, folder = checkpoint.resolve(job.encoder, job)
    tables = layout.create_encoder(layout.create_lake(job.lake.uri), spec, job.codec)
    run = actors.Run("run-1", tables.lake.uri, tables.lake.id, spec, job.encoder, job.unit_tokens, job.batch_tokens)
    model = encoder.load(spec, folder, 1, job.batch_tokens)
    committer = make_committer(tables)
    for unit in units.units(map(Planned, sources.assets(job.source)), actors.policy(run)):
        committer.add(actors.receipt(unit, tables, lambda: model, run.run_id))
    committer.commit()
    return tables
