"""The shipped analyses of `smart-jobs sql`: near-duplicates of one encoder, drift to another or to an older version."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from smart_jobs import progress, schema
from smart_jobs.evaluate import neighbours
from smart_jobs.lake import catalog, matrices, table
from smart_jobs.lake.layout import EncoderTables, Lake
from smart_jobs.records import JobError
from smart_jobs.search import duplicates
from smart_jobs.settings import Sql

PLACE = ["segment_id", "asset_id", "uri", "version", "page", "ordinal", "of"]
SEED = 20_240_607
UNCHANGED = 6
"""Places to which a cosine is rounded: float32 knows no more, so 1.0 is the same vector."""


def run(job: Sql, lake: Lake) -> dict[str, Any]:
    """What the analysis found as a whole, and its rows as a query's. Raises JobError where nothing can be compared.

    The vectors that are compared are held in memory, n·d·4 bytes a table.
    """
    tables = catalog.pick(lake, job.encoder)
    progress.say(
        "sql: {segments:,} segments, {bytes_of_vectors:,} bytes of vectors, {multiply_adds:,} multiply-adds".format(
            **cost(job, lake)
        )
    )
    if job.analysis == "near_duplicates":
        return _near_duplicates(job, tables)
    version = _version(job.other)
    if version is not None:
        return _since(job, tables, version)
    return _between(job, tables, catalog.pick(lake, job.other))


def cost(job: Sql, lake: Lake) -> dict[str, int]:
    """Segments, bytes of their vectors and multiply-adds of an analysis."""
    tables = catalog.pick(lake, job.encoder)
    count, dim = _newest(tables).count(), tables.spec.dim
    if job.analysis == "near_duplicates":
        work = count * (count - 1) // 2 * dim
    elif _version(job.other) is not None:
        work = 3 * count * dim
    else:
        dim += catalog.pick(lake, job.other).spec.dim
        work = min(job.sample, count) * count * dim
    return {"segments": count, "bytes_of_vectors": 4 * count * dim, "multiply_adds": work}


def _version(other: str | None) -> int | None:
    found = re.fullmatch(r"version:(\d+)", other or "")
    return int(found[1]) if found else None


def _newest(tables: EncoderTables) -> DeltaTable:
    return table.open_table(tables.table_uri(schema.POOLED))


def _read(tables: EncoderTables, pooled: DeltaTable) -> tuple[pa.Table, np.ndarray]:
    """The places of all segments, in the order of their ids, and their vectors (n, d)."""
    rows = table.read(pooled, [*PLACE, "pooled"]).sort_by("segment_id")
    return rows.select(PLACE), matrices.matrix(rows["pooled"], tables.spec.dim)


def _near_duplicates(job: Sql, tables: EncoderTables) -> dict[str, Any]:
    places, vectors = _read(tables, _newest(tables))
    assets = None if job.same_asset else places["asset_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    pairs = duplicates.near_duplicates(vectors, assets, job.cosine, job.limit)
    left, right = (_places(places.take(at)) for at in (pairs.left, pairs.right))
    rows = [
        {"cosine": round(float(cosine), UNCHANGED), **one, **{f"other_{name}": value for name, value in two.items()}}
        for cosine, one, two in zip(pairs.cosine, left, right, strict=True)
    ]
    columns = ["cosine", *SHOWN, *(f"other_{name}" for name in SHOWN)]
    return {"analysis": job.analysis, "encoder": tables.spec.full_name, "segments": len(vectors), "cosine": job.cosine,
            "columns": columns, "rows": rows, "count": pairs.count}  # fmt: skip


SHOWN = ["uri", "page", "ordinal", "segment_id"]


def _places(rows: pa.Table) -> list[dict[str, Any]]:
    return [{**row, "segment_id": str(row["segment_id"])} for row in rows.select(SHOWN).to_pylist()]


def _between(job: Sql, tables: EncoderTables, other: EncoderTables) -> dict[str, Any]:
    """Their vectors cannot be compared, their neighbourhoods can: over the segments that both cut alike."""
    (places, one), (others, two) = _read(tables, _newest(tables)), _read(other, _newest(other))
    left, right = _common(places, others, ["segment_id", "of"])
    if len(left) < 2:
        raise JobError(
            f"drift: {tables.spec.full_name} and {other.spec.full_name} have {len(left)} segments in common; "
            "neighbours need two"
        )
    k = min(job.k, len(left) - 1)
    picked = np.random.default_rng(SEED).permutation(len(left))[: job.sample]
    found = neighbours.overlap(one[left], two[right], np.sort(picked), k)
    order = np.argsort(found.share, kind="stable")[: job.limit]
    common = places.take(left)
    nearest = [common["uri"].take(found.nearest[order, side]).to_pylist() for side in (0, 1)]
    rows = [
        {"overlap": round(float(found.share[at]), UNCHANGED), **place, "nearest": near, "other_nearest": other_near}
        for at, place, near, other_near in zip(
            order, _places(common.take(np.sort(picked)[order])), *nearest, strict=True
        )
    ]
    return {"analysis": job.analysis, "encoder": tables.spec.full_name, "other": other.spec.full_name, "k": k,
            "segments": len(left), "sampled": len(picked), "mean_overlap": round(float(found.share.mean()), UNCHANGED),
            "by_chance": round(k / (len(left) - 1), UNCHANGED),
            "columns": ["overlap", *SHOWN, "nearest", "other_nearest"], "rows": rows,
            "count": len(picked)}  # fmt: skip


def _since(job: Sql, tables: EncoderTables, version: int) -> dict[str, Any]:
    """What came, went and changed in pooled since `version`."""
    newest = _newest(tables)
    (places, now), (before, old) = _read(tables, newest), _read(tables, _at(tables, newest, version))
    left, right = _common(places, before, ["segment_id"])
    cosines = np.round(neighbours.cosines(now[left], old[right]), UNCHANGED)
    moved = np.flatnonzero(cosines < 1)
    moved = moved[np.argsort(cosines[moved], kind="stable")]
    added, removed = (np.setdiff1d(np.arange(len(v)), at) for v, at in ((now, left), (old, right)))
    rows = [
        *_changes("changed", places.take(left[moved]), cosines[moved].tolist()),
        *_changes("removed", before.take(removed), [None] * len(removed)),
        *_changes("added", places.take(added), [None] * len(added)),
    ]
    return {"analysis": job.analysis, "encoder": tables.spec.full_name, "version": newest.version(), "since": version,
            "segments": len(now), "added": len(added), "removed": len(removed), "kept": len(left),
            "changed": len(moved), "least_cosine": float(cosines.min()) if len(cosines) else None,
            "columns": ["change", "cosine", *SHOWN], "rows": rows[: job.limit], "count": len(rows)}  # fmt: skip


def _changes(kind: str, rows: pa.Table, cosines: Sequence[float | None]) -> list[dict[str, Any]]:
    places = zip(_places(rows), cosines, strict=True)
    return [{"change": kind, "cosine": cosine, **place} for place, cosine in places]


def _at(tables: EncoderTables, newest: DeltaTable, version: int) -> DeltaTable:
    if version > newest.version():
        raise JobError(f"other=version:{version}: pooled of {tables.spec.full_name} is at version {newest.version()}")
    try:
        return table.open_table(tables.table_uri(schema.POOLED), version)
    except DeltaError as error:
        raise JobError(f"other=version:{version}: {' '.join(str(error).split())[:300]}") from error


def _common(one: pa.Table, other: pa.Table, keys: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """The positions in both of the rows that agree in `keys`, in the order of segment ids."""
    sides = [
        side.select(keys).append_column(name, pa.array(np.arange(len(side))))
        for side, name in ((one, "left"), (other, "right"))
    ]
    found = sides[0].join(sides[1], keys, join_type="inner").sort_by("segment_id")
    return found["left"].to_numpy(), found["right"].to_numpy()
