"""A plan -> units -> receipts: one streaming Ray Data execution. Needs a connected Ray."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

import pyarrow as pa
import ray.data
from ray.exceptions import RayError

from smart_jobs import wire
from smart_jobs.flow import actors, cluster
from smart_jobs.flow.actors import Run
from smart_jobs.keys import Cluster
from smart_jobs.records import Planned

FILES_PER_BLOCK = 16
UNITS_PER_BLOCK = 4
AT_ONCE = 2
"""Units in an encode actor: one in the model (never two, Ray sees to it); another is fetched, or its receipt sent."""


def receipts(
    plan: Sequence[Planned], run: Run, on: Cluster, encode: type[actors.Encode] = actors.EncodeActor
) -> Iterator[pa.Table]:
    """One-row receipts as units are done, in any order. `encode` is the class of the second stage's actors."""
    pools = cluster.pools(on)
    run = replace(run, threads=pools.encode_threads)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.target_max_block_size = 1  # one row a block: a unit is handed on as soon as it is cut
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    units = ray.data.from_arrow(list(blocks(plan, run.unit_tokens))).map_batches(
        actors.DecodeActor,
        fn_constructor_args=(run,),
        batch_size=None,
        batch_format="pyarrow",
        num_cpus=0,
        compute=ray.data.ActorPoolStrategy(size=pools.decode_actors),
    )
    done = units.map_batches(
        encode,
        fn_constructor_args=(run,),
        batch_size=1,
        batch_format="pyarrow",
        num_cpus=pools.encode_cpus,
        num_gpus=pools.encode_gpus,
        compute=ray.data.ActorPoolStrategy(size=pools.encode_actors, max_concurrent_calls_per_actor=AT_ONCE),
    )
    try:
        for batch in done.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
            for row in range(batch.num_rows):
                yield batch.slice(row, 1).cast(wire.RECEIPT)
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
            yield pa.Table.from_pylist(rows, schema=wire.PLANNED)
            rows, weight = [], 0.0
    if rows:
        yield pa.Table.from_pylist(rows, schema=wire.PLANNED)


def _row(item: Planned) -> dict[str, Any]:
    asset = {**asdict(item.asset), "meta": list(item.asset.meta.items())}
    partial = [(version, sorted(ordinals)) for version, ordinals in item.partial.items()]
    return {"asset": asset, "complete": sorted(item.complete), "partial": partial}
