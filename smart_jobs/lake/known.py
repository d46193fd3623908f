"""What a lake already has of each asset, and so what is left to do: the anti-join of every run."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from smart_jobs import schema
from smart_jobs.lake import table
from smart_jobs.lake.layout import EncoderTables
from smart_jobs.records import MAX_ATTEMPTS, RETRIED, Asset, Planned, content_of

ORDINALS = ["asset_id", "version", "ordinal", "of"]


Part = tuple[str, str, int | None]
"""Asset id, content and ordinal of what can fail."""


@dataclass(slots=True)
class Known:
    """By asset id: the stamp and version last seen, versions that are whole, ordinals of those that are not.

    `pooled` has the versions with rows in pooled, whole or not, and `segments` the sorted ids of those rows. `attempts`
    says how often an ordinal of a content failed (ordinal null: the asset as a whole).
    """

    stamps: dict[str, tuple[str, str]] = field(default_factory=dict)
    complete: dict[str, frozenset[str]] = field(default_factory=dict)
    partial: dict[str, dict[str, frozenset[int]]] = field(default_factory=dict)
    pooled: dict[str, frozenset[str]] = field(default_factory=dict)
    segments: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    attempts: dict[Part, int] = field(default_factory=dict)


Again = Callable[[str, int], bool]
"""Whether a failure of this reason, met that often, is to be tried again."""


def passing(retry: Collection[str]) -> Again:
    """What may pass by itself is tried `MAX_ATTEMPTS` times in all, the reasons in `retry` in any case."""
    return lambda reason, attempts: reason in retry or (reason in RETRIED and attempts < MAX_ATTEMPTS)


def never() -> Again:
    """Every failure settles its segment or asset."""
    return lambda _reason, _attempts: False


def load(tables: EncoderTables, waiting: pa.Table, again: Again) -> Known:
    """Read it from pooled, failures, assets, and the pooled rows of `waiting` that are held back until a swap."""
    rows = table.read(table.open_table(tables.table_uri(schema.POOLED)), ["segment_id", *ORDINALS])
    segments, pooled = np.sort(rows["segment_id"].to_numpy()), rows.select(ORDINALS)
    failures = _failures(tables)
    attempts = _attempts(failures)
    reasons = failures["reason"].to_pylist()
    open_again = [again(reason, attempts[part]) for part, reason in zip(_failed(failures), reasons, strict=True)]
    settled = failures.filter(pc.invert(pa.array(open_again, pa.bool_())))
    with_ordinal = settled.filter(pc.is_valid(settled["ordinal"])).select(ORDINALS)
    whole = settled.filter(pc.is_null(settled["ordinal"]))
    done = pa.concat_tables([part.cast(pooled.schema) for part in (pooled, with_ordinal, waiting.select(ORDINALS))])
    complete, partial = _complete(done, _versions(waiting))
    for asset, version in zip(whole["asset_id"].to_pylist(), whole["version"].to_pylist(), strict=True):
        complete[asset].add(version)
    return Known(
        stamps=_stamps(tables),
        complete={asset: frozenset(versions) for asset, versions in complete.items()},
        partial=partial,
        pooled=_versions(pooled),
        segments=segments,
        attempts=attempts,
    )


def _failures(tables: EncoderTables) -> pa.Table:
    mine = (pc.field("spec") == tables.spec.digest) | pc.field("spec").is_null()
    columns = [*ORDINALS, "reason", "attempts"]
    return table.read(table.open_table(tables.table_uri(schema.FAILURES)), columns, mine)


def _failed(failures: pa.Table) -> Iterator[Part]:
    columns = (failures[name].to_pylist() for name in ("asset_id", "version", "ordinal"))
    for asset, version, ordinal in zip(*columns, strict=True):
        yield asset, content_of(version), ordinal


def _attempts(failures: pa.Table) -> dict[Part, int]:
    found: dict[Part, int] = defaultdict(int)
    for part, count in zip(_failed(failures), failures["attempts"].to_pylist(), strict=True):
        found[part] = max(found[part], count)
    return dict(found)


def _complete(
    done: pa.Table, waiting: Mapping[str, frozenset[str]]
) -> tuple[dict[str, set[str]], dict[str, dict[str, frozenset[int]]]]:
    """Versions with all `of` ordinals accounted for, and the ordinals of the others.

    One that waits is never whole, so that its asset is planned and its rows are swapped in: the failure that was still
    missing may have been recorded by a run of another encoder.
    """
    groups = done.group_by(["asset_id", "version"]).aggregate([("ordinal", "count_distinct"), ("of", "max")])
    keys = zip(groups["asset_id"].to_pylist(), groups["version"].to_pylist(), strict=True)
    settled = pa.array([version not in waiting.get(asset, ()) for asset, version in keys], pa.bool_())
    is_whole = pc.and_(settled, pc.equal(groups["ordinal_count_distinct"], groups["of_max"].cast(pa.int64())))
    complete: dict[str, set[str]] = defaultdict(set)
    whole = groups.filter(is_whole)
    for asset, version in zip(whole["asset_id"].to_pylist(), whole["version"].to_pylist(), strict=True):
        complete[asset].add(version)
    partial: dict[str, dict[str, frozenset[int]]] = defaultdict(dict)
    rest = groups.filter(pc.invert(is_whole)).select(["asset_id", "version"])
    rows = done.join(rest, ["asset_id", "version"], join_type="inner").group_by(["asset_id", "version"])
    for row in rows.aggregate([("ordinal", "distinct")]).to_pylist():
        partial[row["asset_id"]][row["version"]] = frozenset(row["ordinal_distinct"])
    return complete, dict(partial)


def _versions(pooled: pa.Table) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    groups = pooled.group_by(["asset_id", "version"]).aggregate([])
    for asset, version in zip(groups["asset_id"].to_pylist(), groups["version"].to_pylist(), strict=True):
        found[asset].add(version)
    return {asset: frozenset(versions) for asset, versions in found.items()}


def _stamps(tables: EncoderTables) -> dict[str, tuple[str, str]]:
    """The newest row of the assets cache for each asset; run ids sort by time."""
    columns = ["asset_id", "stamp", "version", "run_id"]
    rows = table.read(table.open_table(tables.table_uri(schema.ASSETS)), columns).sort_by("run_id")
    values = zip(rows["stamp"].to_pylist(), rows["version"].to_pylist(), strict=True)
    return dict(zip(rows["asset_id"].to_pylist(), values, strict=True))


def plan(assets: Iterable[Asset], known: Known) -> Iterator[Planned | None]:
    """One item per asset, in order: what decoding must open, or None for one that is whole and unchanged.

    An asset whose stamp is new is opened to learn its version; if that is known, nothing of it is encoded.
    """
    for asset in assets:
        key = asset.id
        complete = known.complete.get(key, frozenset())
        stamp, version = known.stamps.get(key, ("", ""))
        if (stamp == asset.stamp and version in complete) or f"stamp:{asset.stamp}" in complete:
            yield None
        else:
            yield Planned(asset, complete, known.partial.get(key, {}))
