"""An asset leaves a lake: its rows, states, index entries, and what evaluations were made with it. Starts no Ray."""

from collections.abc import Callable, Sequence
from typing import Any

from smart_jobs import progress, schema, storage
from smart_jobs.flow import locate
from smart_jobs.index import manifest, refresh, steps
from smart_jobs.index.manifest import Pin
from smart_jobs.lake import layout, lease, matrices, table
from smart_jobs.lake.layout import EncoderTables, Lake
from smart_jobs.lake.lease import passed_over
from smart_jobs.records import JobError, asset_id
from smart_jobs.settings import Forget
from smart_jobs.upkeep import evaluated, forget, forgotten
from smart_jobs.upkeep import verify_indexes as indexes


def run(job: Forget, reached: Callable[[str], None] = passed_over) -> dict[str, Any]:
    """The JSON object of `smart-jobs forget`.

    The asset is out of every newest version when this returns; older versions, pinned or not, lose it with the next
    `maintain`, which the mark written first makes certain. Killed at any moment, it is finished by repeating it.
    Raises JobError where no file of the lake holds the asset.
    """
    lakes = locate.lakes_of(job.lake.uri)
    uri = _known(lakes, job.asset)
    asset, outer = asset_id(uri), lakes[0]
    concerned = forget.evaluations(lakes, asset)
    forgotten.mark(outer, asset)
    hits = forget.from_hits(outer, uri, _relative(lakes, uri, asset), concerned)
    evaluated.unrepeatable(outer, concerned)
    segments = failures = rewritten = 0
    for lake in lakes:
        for name in layout.encoders(lake):
            tables = layout.open_encoder(lake, name)
            progress.say(f"forget: {tables.uri}")
            with lease.hold(tables, "forget", job.wait, reached) as held:
                segments += forget.from_encoder(tables, held, asset)
                rewritten += _indexes(tables, asset)
                held.reached("indexes rewritten")
        failures += forget.from_shared(lake, asset)
    return {"asset": uri, "asset_id": asset, "segments": segments, "failures": failures, "indexes": rewritten,
            "evaluations": len(concerned), "hits": hits}  # fmt: skip


def dry_run(job: Forget) -> dict[str, Any]:
    """Whether the asset is there, and what would go."""
    lakes = locate.lakes_of(job.lake.uri)
    uri = _known(lakes, job.asset)
    asset = asset_id(uri)
    pooled = [
        layout.open_encoder(lake, name).table_uri(schema.POOLED) for lake in lakes for name in layout.encoders(lake)
    ]
    return {"dry_run": True, "asset": uri, "files_with_it": sum(len(forgotten.holders(at, [asset])) for at in pooled),
            "evaluations": len(forget.evaluations(lakes, asset))}  # fmt: skip


def _known(lakes: Sequence[Lake], given: str) -> str:
    """The URI under which the lake knows it: as given, or as the absolute path of that."""
    spellings = list(dict.fromkeys([given, storage.absolute(given)]))
    for uri in spellings:
        asset = asset_id(uri)
        if asset in forgotten.marked(lakes[0]) or any(forgotten.holders(at, [asset]) for at in _tables(lakes)):
            return uri
    raise JobError(f"asset={given}: lake {lakes[0].uri} has nothing of it; expected a URI as in pooled's column `uri`")


def _tables(lakes: Sequence[Lake]) -> list[str]:
    shared = [lake.table_uri(kind) for lake in lakes for kind in forgotten.SHARED]
    own = [layout.open_encoder(lake, name).table_uri(schema.POOLED) for lake in lakes for name in layout.encoders(lake)]
    return [*own, *shared]


def _relative(lakes: Sequence[Lake], uri: str, asset: str) -> set[str]:
    """What evaluations may call it: its URI relative to its source."""
    sources: set[str] = set()
    for lake in lakes:
        for kind in forgotten.SHARED:
            rows = table.read(table.open_table(lake.table_uri(kind)), ["asset_id", "source"])
            pairs = zip(rows["asset_id"].to_pylist(), rows["source"].to_pylist(), strict=True)
            sources |= {source for found, source in pairs if found == asset}
    return {uri.removeprefix(source.rstrip("/") + "/") for source in sources}


def _indexes(tables: EncoderTables, asset: str) -> int:
    """Write the indexes again that were built from versions with the asset, drop unfinished ones; how many were."""
    uri, root = tables.table_uri(schema.POOLED), storage.join(tables.uri, "indexes")
    steps.discard(root)
    files, rewritten = set(forgotten.holders(uri, [asset])), 0
    for folder in indexes.folders(root):
        if not forget.held_in(uri, files, manifest.read(folder).built_from.version):
            continue
        snapshot = layout.snapshot(tables)
        rows = table.read(snapshot.pooled, ["segment_id", "pooled"]).sort_by("segment_id")
        vectors = matrices.matrix(rows["pooled"], tables.spec.dim)
        pins = snapshot.versions()
        pinned = [Pin.model_validate(pins[kind.name]) for kind in (schema.POOLED, schema.HIDDEN_STATES)]
        refresh.refresh(folder, rows["segment_id"].to_numpy(), vectors, *pinned)
        rewritten += 1
    return rewritten
