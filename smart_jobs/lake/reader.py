"""The hidden states of given segments, read at the bytes where they lie."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import numpy as np
import pyarrow as pa

from smart_jobs import codec, masks, schema, storage
from smart_jobs.lake import table as tables_of
from smart_jobs.lake.layout import Snapshot
from smart_jobs.lake.states import Packed, Ragged, runs
from smart_jobs.lake.writer import blobs, offsets_uri
from smart_jobs.masks import Mask
from smart_jobs.records import Codec, JobError

READERS = 16
"""Files read at the same time: an object store takes its time over each."""

NO_TOKENS = pa.schema([schema.HIDDEN_STATES.columns.field(name) for name in schema.TOKENS]).empty_table()


def _tokens(offsets: pa.Table) -> pa.Table:
    """What a file's offsets say of its tokens; those of an older release say nothing."""
    if "token_kinds" in offsets.column_names:
        return offsets.select(schema.TOKENS)
    return pa.table([pa.nulls(len(offsets), field.type) for field in NO_TOKENS.schema], NO_TOKENS.schema)


class StatesReader:
    """Finds the bytes of a segment through the offsets of a snapshot's files; reads nothing else.

    Each file is decoded by the codec that its offsets name, and by the tables' where they name none: a table that was
    transcoded has files of several.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        """Load the offsets of every file of the snapshot's hidden_states: 28 bytes a segment."""
        self._tables = snapshot.tables
        self._root = snapshot.tables.table_uri(schema.HIDDEN_STATES)
        self._files = sorted(tables_of.files_of(snapshot.hidden_states))
        with ThreadPoolExecutor(READERS) as pool:
            parts = list(pool.map(self._offsets, self._files))
        self._codecs = [self._codec(part) for part in parts]
        columns = {
            key: [part[key].to_numpy() for part in parts] for key in ("segment_id", "offset", "length", "n_tokens")
        }
        joined = {key: np.concatenate(arrays) if arrays else np.empty(0, np.int64) for key, arrays in columns.items()}
        file = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        order = np.argsort(joined["segment_id"], kind="stable")
        self._ids, self._file = joined["segment_id"][order], file[order]
        self._offset, self._length, self._n = (joined[key][order] for key in ("offset", "length", "n_tokens"))
        self._tokens = pa.concat_tables([_tokens(part) for part in parts] or [NO_TOKENS]).take(order)

    def _offsets(self, name: str) -> pa.Table:
        uri = offsets_uri(self._root, name)
        try:
            return pa.ipc.open_file(pa.py_buffer(storage.read_bytes(uri))).read_all()
        except FileNotFoundError as error:
            raise JobError(f"{uri}: missing; the offsets of a committed states file are gone") from error

    def _codec(self, offsets: pa.Table) -> Codec:
        named = (offsets.schema.metadata or {}).get(b"codec", self._tables.codec.encode()).decode()
        if named not in codec.CODECS:
            raise JobError(f"{self._root}: states stored as {named}; expected one of {', '.join(codec.CODECS)}")
        return cast("Codec", named)

    def read(self, segment_ids: np.ndarray) -> Ragged:
        """The states of (s,) int64 ids, in their order. Raises JobError for an id that the snapshot lacks.

        Holds, beside what it returns, what is stored for them in `READERS` files.
        """
        at = self._positions(segment_ids)
        offsets = np.concatenate([[0], np.cumsum(self._n[at], dtype=np.int64)])
        values = np.empty((offsets[-1], self._tables.spec.dim), np.float32)

        def decode(rows: np.ndarray) -> None:
            _, parts = blobs(self._length[at[rows]])
            self._fetch(at[rows], parts)
            for i, part in zip(rows, parts, strict=True):
                codec.decode_into(part, values[offsets[i] : offsets[i + 1]], self._codecs[self._file[at[i]]])

        self._by_file(at, decode)
        return Ragged(values, offsets)

    def packed(self, segment_ids: np.ndarray, most: int) -> Iterator[tuple[np.ndarray, Packed]]:
        """The states of (s,) int64 ids as they are stored, and which of the ids they are (c,): all, each once.

        A run of ids at a time, of at most `most` bytes or of one segment, and a codec at a time; nothing is copied.
        Raises JobError for an id that the snapshot lacks.
        """
        at = self._positions(segment_ids)
        coded = np.array([codec.CODECS.index(name) for name in self._codecs], np.int64)[self._file[at]]
        for number, name in enumerate(codec.CODECS):
            which = np.flatnonzero(coded == number)
            ends = np.concatenate([[0], np.cumsum(self._length[at[which]], dtype=np.int64)])
            for first, last in runs(ends, most):
                yield which[first:last], self._pack(at[which[first:last]], name)

    def _pack(self, at: np.ndarray, name: Codec) -> Packed:
        """What lies at these positions of the offsets, all of one codec."""
        offsets = np.concatenate([[0], np.cumsum(self._n[at], dtype=np.int64)])
        dim, head = self._tables.spec.dim, codec.factor_bytes(name)
        factors = np.empty(offsets[-1] if head else 0, codec.FACTORS.get(name, "<f4"))
        rows = np.empty((offsets[-1], codec.row_bytes(dim, name)), np.uint8)
        self._check_lengths(at, name)

        def fetch(chosen: np.ndarray) -> None:
            starts: list[int] = []
            parts: list[memoryview] = []
            for i, start in zip(chosen.tolist(), self._offset[at[chosen]].tolist(), strict=True):
                begin, end = offsets[i], offsets[i + 1]
                if head:
                    starts.append(start)
                    parts.append(factors[begin:end].view(np.uint8).data)
                starts.append(start + head * int(end - begin))
                parts.append(rows[begin:end].reshape(-1).data)
            storage.read_into(self._uri(at[chosen[0]]), starts, parts)

        self._by_file(at, fetch)
        return Packed(name, dim, factors, rows, offsets)

    def _check_lengths(self, at: np.ndarray, name: Codec) -> None:
        wrong = self._length[at] != codec.size(1, self._tables.spec.dim, name) * self._n[at]
        if wrong.any():
            raise JobError(f"segment {self._ids[at[wrong]][0]}: its states have not the length of {name}; "
                           "run `smart-jobs verify`")  # fmt: skip

    def stored(self, segment_ids: np.ndarray) -> pa.Table:
        """The rows of (s,) int64 ids as they are stored, in their order, in the schema of hidden_states."""
        at = self._positions(segment_ids)
        column, parts = blobs(self._length[at])
        self._by_file(at, lambda rows: self._fetch(at[rows], [parts[i] for i in rows]))
        kinds = [self._codecs[file] for file in self._file[at]]
        dims = np.full(len(at), self._tables.spec.dim, np.int32)
        tokens = self._tokens.take(at).columns
        columns = [segment_ids, self._n[at], dims, pa.array(kinds, pa.string()), column, *tokens]
        return pa.table(columns, schema=schema.HIDDEN_STATES.columns)

    def masked(self, segment_ids: np.ndarray, mask: Mask) -> Ragged:
        """As `read`, but only the states whose tokens `mask` keeps, which may be none of a segment's.

        Raises JobError as `kept` does.
        """
        everything, kept = self.read(segment_ids), self.kept(segment_ids, mask)
        counts = np.array([row.sum() for row in kept], np.int64)
        chosen = np.concatenate([np.empty(0, bool), *kept])
        return Ragged(everything.values[chosen], np.concatenate([[0], np.cumsum(counts)]))

    def kept(self, segment_ids: np.ndarray, mask: Mask) -> list[np.ndarray]:
        """Of each segment (n,) bool: which of its states stand for tokens that `mask` keeps.

        A single state that stands for no token is the pooled vector, of a segment without any token that its encoder's
        mask kept: no other keeps it either. Raises JobError where what tokens are is not stored: a release before
        schema 2 did not, merged states are no tokens.
        """
        at = self._positions(segment_ids)
        runs, counts = self._tokens.take(at)["token_kinds"].to_pylist(), self._n[at].tolist()
        merged = self._tables.spec.pool_factor is not None
        for i, run in enumerate(runs):
            if run is None and (merged or counts[i] > 1):
                raise JobError(f"segment {segment_ids[i]}: what its tokens are is not stored; mask={mask} "
                               "needs an ingest into fresh tables")  # fmt: skip
        return [np.zeros(1, bool) if run is None else masks.keep(masks.kinds(run), mask) for run in runs]

    def _by_file(self, at: np.ndarray, work: Callable[[np.ndarray], None]) -> None:
        """Call `work` for every file, several at a time, with the rows of `at` that lie in it, as they lie there."""
        order = np.lexsort((self._offset[at], self._file[at]))
        rows = np.split(order, np.flatnonzero(np.diff(self._file[at][order])) + 1) if len(at) else []
        with ThreadPoolExecutor(READERS) as pool:
            for _ in pool.map(work, rows):
                pass

    def _positions(self, segment_ids: np.ndarray) -> np.ndarray:
        at = np.searchsorted(self._ids, segment_ids)
        found = at < len(self._ids)
        found[found] = self._ids[at[found]] == segment_ids[found]
        if not found.all():
            missing = segment_ids[~found][0]
            raise JobError(f"segment {missing}: pooled names it, hidden_states lacks it; run `smart-jobs verify`")
        return at

    def _fetch(self, at: np.ndarray, parts: Sequence[memoryview]) -> None:
        """Fill `parts` with the values at these positions of the offsets, all in one file."""
        storage.read_into(self._uri(at[0]), self._offset[at].tolist(), parts)

    def _uri(self, at: np.int64) -> str:
        """The file that this position of the offsets lies in."""
        return storage.join(self._root, self._files[self._file[at]])
