"""A lake as a search reads it: tables at fixed versions, an index, where everything lies. Read once, asked often."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import faiss
import numpy as np
import pyarrow as pa
from deltalake import QueryBuilder
from deltalake.exceptions import DeltaError

from smart_jobs import storage
from smart_jobs.index import build, devices, difference, manifest
from smart_jobs.index.manifest import Manifest
from smart_jobs.lake import layout, table
from smart_jobs.lake.layout import EncoderTables, Snapshot
from smart_jobs.lake.reader import StatesReader
from smart_jobs.lake.rows import Rows, Scanned
from smart_jobs.records import AssetError, Embedding, JobError

Embed = Callable[[Sequence[str]], Sequence[Embedding | AssetError]]
"""Texts -> what the lake's encoder makes of them as queries, in their order."""


@dataclass(frozen=True)
class Opened:
    """What searches of one lake and encoder share. A commit that comes after it was opened is not seen.

    Everything is loaded when a search first needs it. Without `index_id` it is the index that was made last; `embed`
    is asked where a query is a text. `many` says that so many queries will come that a GPU is worth its copy of the
    index: an answer that is no clear winner among the candidates may then be another than the CPU's.
    """

    snapshot: Snapshot
    rows: Rows
    index_id: str | None = None
    embed: Embed | None = None
    many: bool = False

    @cached_property
    def made(self) -> tuple[str, Manifest]:
        """The folder and manifest of the index. Raises JobError where none is built, or that one is gone."""
        tables = self.snapshot.tables
        indexes = storage.join(tables.uri, "indexes")
        if self.index_id is not None:
            folder = storage.join(indexes, self.index_id)
            return folder, manifest.read(folder)
        found, lake = manifest.newest(indexes), tables.lake.uri
        if found is None:
            raise JobError(f"lake {lake}: no index of {tables.spec.full_name}; run `smart-jobs index lake={lake}`, "
                           "or search with exhaustive=true")  # fmt: skip
        return found

    @cached_property
    def index(self) -> faiss.Index:
        """The index itself, in memory. Raises JobError where its file is gone or damaged."""
        return build.load(manifest.read_index_bytes(*self.made))

    @cached_property
    def on_gpu(self) -> faiss.Index | None:
        """A copy of the index on a GPU, where `many` queries are expected and `devices.copied` gives one."""
        return devices.copied(self.index, self.made[1].nprobe) if self.many else None

    @cached_property
    def states(self) -> StatesReader:
        """Where the states of each segment lie."""
        return StatesReader(self.snapshot)

    @cached_property
    def come(self) -> np.ndarray:
        """The ids of what has come since the index was built. Raises JobError where that cannot be told."""
        _, made = self.made
        found = difference.since(made.built_from, self.snapshot.pooled)
        if found is None:
            raise JobError(f"fresh=true: what has come since index {made.index_id} was built cannot be told any more; "
                           f"run `smart-jobs index lake={self.snapshot.tables.lake.uri}`")  # fmt: skip
        return found.added

    @cached_property
    def _allowed(self) -> dict[str | None, np.ndarray]:
        return {}

    def allowed(self, where: str | None) -> np.ndarray:
        """Sorted ids of what a predicate lets through; those of the last one are kept. Raises as `allowed_ids`."""
        if where not in self._allowed:
            self._allowed.clear()
            self._allowed[where] = allowed_ids(self.snapshot, where)
        return self._allowed[where]

    def embedded(self, queries: Sequence[str | Embedding]) -> list[Embedding]:
        """The queries, texts as embeddings. Raises JobError naming a text that cannot be encoded."""
        texts = [query for query in queries if isinstance(query, str)]
        if texts and self.embed is None:
            raise JobError("a query is a text, and this lake was opened without its encoder")
        results = iter(self.embed(texts) if texts and self.embed else [])
        found = [next(results) if isinstance(query, str) else query for query in queries]
        for query, result in zip(queries, found, strict=True):
            if isinstance(result, AssetError):
                raise JobError(f"the query {query!r} cannot be encoded: {result.detail}")
        return [result for result in found if isinstance(result, Embedding)]

    def behind(self) -> str | None:
        """How far the index is behind the table, in words; None where the rows are the same."""
        (_, made), pooled = self.made, self.snapshot.pooled
        found = difference.since(made.built_from, pooled)
        versions = f"{pooled.version() - made.built_from.version:,} versions behind"
        if found is None:
            return f"index {made.index_id} is {versions}, and its own version cannot be read any more: build it again"
        if found.nothing:
            return None
        return (f"index {made.index_id} is {versions}: {len(found.added):,} segments are not in it yet, "
                f"{len(found.removed):,} of its have left; fresh=true includes them")  # fmt: skip


def newest(tables: EncoderTables, embed: Embed | None = None) -> Opened:
    """What a search that starts now sees."""
    snapshot = layout.snapshot(tables)
    return Opened(snapshot, Scanned(snapshot), embed=embed)


def allowed_ids(snapshot: Snapshot, where: str | None) -> np.ndarray:
    """Sorted ids of the rows that a predicate lets through. Raises JobError for an empty lake or a wrong predicate."""
    if snapshot.pooled.count() == 0:
        lake = snapshot.tables.lake.uri
        raise JobError(f"lake {lake}: nothing is encoded yet; `smart-jobs ingest source=… lake={lake}` does")
    if where is None:
        ids = table.read(snapshot.pooled, ["segment_id"])["segment_id"]
    else:
        try:
            query = f"SELECT segment_id FROM pooled WHERE {where}"
            found = QueryBuilder().register("pooled", snapshot.pooled).execute(query).read_all()
        except (DeltaError, ValueError, OSError) as error:
            raise JobError(f"where={where}: {' '.join(str(error).split())[:300]}") from error
        ids = pa.table(found)["segment_id"]
    return np.sort(ids.to_numpy())
