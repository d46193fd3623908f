"""Assets that have to be forgotten: a mark for each, and the files in which they still are.

`<lake>/_forgotten/<asset id>.json` is written before the first row goes, and removed by the `maintain` after which no
file holds the asset: its bytes are gone for certain, whatever was killed between.
"""

from collections.abc import Collection

import pyarrow as pa
import pyarrow.compute as pc

from smart_jobs import schema, storage
from smart_jobs.lake import layout, table
from smart_jobs.lake.layout import EncoderTables, Lake
from smart_jobs.lake.writer import offsets_uri
from smart_jobs.upkeep import datafiles
from smart_jobs.upkeep.vacuum import Going

SHARED = (schema.FAILURES, schema.ASSETS)
"""The shared tables whose rows name assets."""


def _uri(lake: Lake, asset: str) -> str:
    return storage.join(lake.uri, "_forgotten", f"{asset}.json")


def mark(lake: Lake, asset: str) -> None:
    """Make it certain that the asset goes. The mark holds its id, a hash, and not its URI."""
    storage.write_bytes(_uri(lake, asset), b"{}")


def unmark(lake: Lake, asset: str) -> None:
    """No file holds it any more."""
    storage.delete(_uri(lake, asset))


def marked(lake: Lake) -> list[str]:
    """The ids of the assets that are to be forgotten."""
    found = storage.list_files(storage.join(lake.uri, "_forgotten"))
    return [datafiles.name_of(uri).removesuffix(".json") for uri, _ in found]


def holders(uri: str, assets: Collection[str]) -> dict[str, pa.Table]:
    """The files that lie in a table's folder, committed or not, with rows of these assets: their rows' ids.

    A file that cannot be read is none of ours to answer for: `verify` names it.
    """
    ids, found = pa.array(sorted(assets), pa.string()), {}
    columns = ["asset_id", "segment_id"] if uri.endswith(f"/{schema.POOLED.name}") else ["asset_id"]
    for name in datafiles.lying(uri):
        try:
            rows = datafiles.read(uri, name, columns)
        except datafiles.UNREADABLE:
            continue
        rows = rows.filter(pc.is_in(rows["asset_id"], ids))
        if rows.num_rows:
            found[name] = rows
    return found


def _replaced(uri: str, names: Collection[str]) -> Going:
    """Those of these files that the newest version does not have."""
    newest, there = set(datafiles.named(table.open_table(uri))), datafiles.lying(uri)
    return {storage.join(uri, name): there[name].size for name in names if name not in newest and name in there}


def of_encoder(tables: EncoderTables, assets: Collection[str], pinned: Collection[str]) -> Going:
    """The files of both tables that hold what is forgotten, whoever reads or pins them; for who holds the lease.

    Of hidden_states that is every file but those of the newest version and those `pinned` that have none of its
    segments: whose states an old file holds is known only while a file of pooled still names them.
    """
    pooled_uri, states_uri = (tables.table_uri(kind) for kind in (schema.POOLED, schema.HIDDEN_STATES))
    held = holders(pooled_uri, assets)
    segments = {segment for rows in held.values() for segment in rows["segment_id"].to_pylist()}
    clean = {name for name in pinned if not _has(states_uri, name, segments)}
    return _replaced(states_uri, set(datafiles.lying(states_uri)) - clean) | _replaced(pooled_uri, held)


def _has(uri: str, name: str, segments: set[int]) -> bool:
    try:
        ids = pa.ipc.open_file(pa.py_buffer(storage.read_bytes(offsets_uri(uri, name)))).read_all()["segment_id"]
    except datafiles.UNREADABLE:
        return True
    return not segments.isdisjoint(ids.to_pylist())


def remain(lake: Lake, assets: Collection[str]) -> bool:
    """Whether a file that no newest version has still holds one of them."""
    uris = [lake.table_uri(kind) for kind in SHARED]
    uris += [layout.open_encoder(lake, name).table_uri(schema.POOLED) for name in layout.encoders(lake)]
    return any(_replaced(uri, holders(uri, assets)) for uri in uris)
