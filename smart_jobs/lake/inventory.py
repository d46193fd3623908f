"""The segments that an encoder has: whose they are, how long, and in which file of pooled. No vectors."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from smart_jobs.lake import matrices, table
from smart_jobs.lake.layout import Snapshot

COLUMNS = ("segment_id", "asset_id", "ordinal", "n_tokens")
FILE = "__fragment_index"
"""What pyarrow calls the place of a row's file in its dataset."""


@dataclass(frozen=True, slots=True)
class Located:
    """Segments `ids` (n,) int64 with `tokens` (n,) states each; their rows of pooled lie in `files[file[i]]`."""

    snapshot: Snapshot
    ids: np.ndarray
    tokens: np.ndarray
    file: np.ndarray
    files: tuple[str, ...]

    def take(self, at: np.ndarray) -> "Located":
        """Some of them (m,)."""
        return Located(self.snapshot, self.ids[at], self.tokens[at], self.file[at], self.files)

    def named(self) -> tuple[str, ...]:
        """The files that they lie in."""
        return tuple(self.files[number] for number in np.unique(self.file).tolist())


@dataclass(frozen=True, slots=True)
class Inventory:
    """The rows of a snapshot's pooled, file by file and by segment id within each: what was made together is together.

    `rows` has the columns that were asked for; `files` are pooled's, by name.
    """

    snapshot: Snapshot
    files: tuple[str, ...]
    rows: pa.Table

    def located(self, at: np.ndarray) -> Located:
        """The segments in some rows (n,)."""
        chosen = self.rows.select(["segment_id", "n_tokens", FILE]).take(pa.array(at, pa.int64()))
        ids, tokens, file = (column.to_numpy() for column in chosen.columns)
        return Located(self.snapshot, ids, tokens.astype(np.int64), file, self.files)


def read(snapshot: Snapshot, more: Sequence[str] = ()) -> Inventory:
    """Read it: some 60 bytes a segment, and those of the columns `more`."""
    files = tuple(fragment.path for fragment in table.dataset(snapshot.pooled).get_fragments())
    rows = table.read(snapshot.pooled, [*COLUMNS, *more, FILE])
    return Inventory(snapshot, files, rows.sort_by([(FILE, "ascending"), ("segment_id", "ascending")]))


def vectors(snapshot: Snapshot, ids: np.ndarray, files: Sequence[str]) -> np.ndarray:
    """(n, d) float32: the pooled vectors of the segments `ids` (n,), which lie in these files, read one at a time."""
    wanted, inverse = np.unique(ids, return_inverse=True)
    found = np.empty((len(wanted), snapshot.tables.spec.dim), np.float32)
    for file in files:
        there, rows = matrices.read(snapshot.pooled, [file], snapshot.tables.spec.dim, wanted)
        found[np.searchsorted(wanted, there)] = rows
    return found[inverse]
