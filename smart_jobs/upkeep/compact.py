"""Many small files -> few of about a target size, without the states that no row of pooled names any more.

Every group of files is one commit of its own: what is killed between two is taken up by the next run.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

from smart_jobs import schema, storage
from smart_jobs.lake import table, writer
from smart_jobs.lake.groups import Groups
from smart_jobs.lake.layout import EncoderTables, Lake
from smart_jobs.lake.table import Change, File
from smart_jobs.lake.writer import offsets_uri
from smart_jobs.upkeep import datafiles


def pack(sizes: Mapping[str, int], must: Collection[str], target: int) -> list[list[str]]:
    """Files that are written again as one, of at most `target` bytes unless one alone is larger.

    Those under half of it are put together, and those in `must` are written again in any case. Every result but the
    last is above that half, so a second run finds nothing to do.
    """
    groups: list[list[str]] = [[]]
    filled = 0
    for name in sorted(name for name, size in sizes.items() if name in must or 2 * size < target):
        if groups[-1] and filled + sizes[name] > target:
            groups.append([])
            filled = 0
        groups[-1].append(name)
        filled += sizes[name]
    return [group for group in groups if len(group) > 1 or set(group) & set(must)]


@dataclass(frozen=True, slots=True)
class States:
    """What is to do in hidden_states: groups of files, and {file: which of its rows stay} for those that lose some."""

    groups: Sequence[Sequence[str]]
    keep: Mapping[str, np.ndarray]

    @property
    def swept(self) -> int:
        """How many rows go."""
        return sum(int((~stays).sum()) for stays in self.keep.values())


def plan_states(tables: EncoderTables, waiting: np.ndarray, target: int) -> States:
    """Look through the offsets of all files: 28 bytes a segment are held.

    A row goes where neither pooled nor `waiting` (n,) int64 names its segment, or where an earlier file has it too.
    A target of 0 packs nothing, and rewrites only files that lose rows.
    """
    root = tables.table_uri(schema.HIDDEN_STATES)
    entries = datafiles.named(table.open_table(root))
    names = sorted(entries)
    offsets = [_offsets(root, name) for name in names]
    ids = [part["segment_id"].to_numpy() for part in offsets]
    pooled = table.read(table.open_table(tables.table_uri(schema.POOLED)), ["segment_id"])["segment_id"].to_numpy()
    stays = np.isin(np.concatenate([np.empty(0, np.int64), *ids]), np.concatenate([pooled, waiting]))
    first = np.zeros(len(stays), bool)
    first[np.unique(np.concatenate([np.empty(0, np.int64), *ids]), return_index=True)[1]] = True
    parts = np.split(stays & first, np.cumsum([len(part) for part in ids])[:-1]) if ids else []
    keep = {name: part for name, part in zip(names, parts, strict=True) if not part.all()}
    by_codec: dict[bytes, dict[str, int]] = defaultdict(dict)
    for name, part in zip(names, offsets, strict=True):
        by_codec[(part.schema.metadata or {}).get(b"codec", b"")][name] = entries[name].size
    return States([group for sizes in by_codec.values() for group in pack(sizes, keep, target)], keep)


def _offsets(root: str, name: str) -> pa.Table:
    return pa.ipc.open_file(pa.py_buffer(storage.read_bytes(offsets_uri(root, name)))).read_all()


def states(tables: EncoderTables, commits: Groups, plan: States) -> None:
    """Carry it out, a group at a time: its rows and their new file are held in memory."""
    for group in plan.groups:
        swept = any(name in plan.keep for name in group)
        rows = pa.concat_tables([_kept(tables, name, plan.keep.get(name)) for name in group])
        files = writer.write_states(tables, rows) if rows.num_rows else []
        name = schema.HIDDEN_STATES.name
        commits.commit({name: files}, {name: list(group)}, rewrites=not swept)


def _kept(tables: EncoderTables, name: str, stays: np.ndarray | None) -> pa.Table:
    rows = datafiles.rows(tables.table_uri(schema.HIDDEN_STATES), name, schema.HIDDEN_STATES)
    return rows if stays is None else rows.filter(pa.array(stays))


def plan_rows(handle: DeltaTable, target: int, must: Collection[str] = ()) -> list[list[str]]:
    """The groups of a table whose files are plain Parquet."""
    return pack({name: entry.size for name, entry in datafiles.named(handle).items()}, must, target)


def pooled(tables: EncoderTables, commits: Groups, target: int) -> None:
    """Put pooled's small files together."""
    kind = schema.POOLED
    uri = tables.table_uri(kind)
    for group in plan_rows(table.open_table(uri), target):
        file = table.write_file(uri, kind, _rows(uri, kind, group))
        commits.commit({kind.name: [file]}, {kind.name: group}, rewrites=True)


def _rows(uri: str, kind: schema.Table, group: Sequence[str]) -> pa.Table:
    return pa.concat_tables([datafiles.rows(uri, name, kind) for name in group])


def shared(lake: Lake, kind: schema.Table, target: int) -> None:
    """Put the small files of a table together that all encoders share; of `assets` the newest row of each stays.

    Other writers go on: where one has replaced the same file, it is looked at again.
    """
    uri = lake.table_uri(kind)
    failed = 0
    while True:
        handle = table.open_table(uri)
        change = next(_changes(uri, handle, kind, target), None)
        if change is None:
            return
        try:
            table.commit(handle, change)
        except CommitFailedError:
            failed += 1
            if failed == table.ATTEMPTS:
                raise


def _changes(uri: str, handle: DeltaTable, kind: schema.Table, target: int) -> Iterator[Change]:
    old = _superseded(uri, handle) if kind is schema.ASSETS else {}
    for group in plan_rows(handle, target, old):
        parts = [_without(_rows(uri, kind, [name]), old.get(name)) for name in group]
        rows = pa.concat_tables(parts)
        files: list[File] = [table.write_file(uri, kind, rows)] if rows.num_rows else []
        yield Change(files, group, {}, {}, data_change=any(name in old for name in group))


def _without(rows: pa.Table, old: np.ndarray | None) -> pa.Table:
    return rows if old is None else rows.filter(pa.array(~old))


def _superseded(uri: str, handle: DeltaTable) -> dict[str, np.ndarray]:
    """{file of assets: which rows an equal or newer run has said again}; the last of several stays."""
    newest: dict[str, tuple[str, str, int]] = {}
    sizes: dict[str, int] = {}
    for name in sorted(datafiles.named(handle)):
        rows = datafiles.read(uri, name, ["asset_id", "run_id"])
        sizes[name] = rows.num_rows
        for at, (asset, run) in enumerate(zip(*(column.to_pylist() for column in rows.columns), strict=True)):
            newest[asset] = max(newest.get(asset, ("", "", 0)), (run, name, at))
    old = {name: np.ones(size, bool) for name, size in sizes.items()}
    for _, name, at in newest.values():
        old[name][at] = False
    return {name: gone for name, gone in old.items() if gone.any()}
