"""Scores of some queries with some candidates, from states as they lie in the lake: a part of a task's work.

A part needs nothing but itself: whoever has it reads what it names, at the versions that it names.
"""

import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from smart_jobs import codec
from smart_jobs.evaluate.views import View
from smart_jobs.lake import inventory, layout, reshaped
from smart_jobs.lake.inventory import Located
from smart_jobs.lake.layout import Snapshot
from smart_jobs.lake.reader import StatesReader
from smart_jobs.lake.states import Packed, Ragged
from smart_jobs.masks import Mask
from smart_jobs.search import exact, maxsim


@dataclass(frozen=True, slots=True)
class Stored:
    """The tables of an encoder at given versions, for whoever opens them."""

    lake: str
    encoder: str
    pooled: int
    hidden_states: int

    @classmethod
    def of(cls, snapshot: Snapshot) -> "Stored":
        """Those of a snapshot."""
        tables = snapshot.tables
        versions = snapshot.pooled.version(), snapshot.hidden_states.version()
        return cls(tables.lake.uri, tables.spec.full_name, *versions)


@dataclass(frozen=True, slots=True)
class Segments:
    """Some segments `ids` (n,) int64 of some tables, whose rows lie in these `files` of pooled."""

    stored: Stored
    ids: np.ndarray
    files: tuple[str, ...]

    @classmethod
    def of(cls, located: Located) -> "Segments":
        """Those of a snapshot."""
        return cls(Stored.of(located.snapshot), located.ids, located.named())


@dataclass(frozen=True, slots=True)
class Part:
    """b queries, n documents, which pairs of them are `wanted` (b, n) bool, None: all, and the views to score under."""

    queries: Segments
    documents: Segments
    wanted: np.ndarray | None
    views: tuple[View, ...]


@dataclass(frozen=True, slots=True)
class Scores:
    """Of p wanted pairs, query by query: `pooled` (p,) and `late` (views, p), float32 both."""

    pooled: np.ndarray
    late: np.ndarray


WHOLE = 1 << 62
"""Bytes that are read at a time: all, a part is small enough."""


def score(part: Part) -> Scores:
    """The exact scores of a part, the same to the bit however a task is cut into parts.

    Held at a time: the states of its queries as float32, again where a view masks them, and as they enter the products
    in 3 or 8 bytes an element; those of its documents as stored, again for each of mask and codec; the pooled vectors
    of both; the scores. Raises JobError for a view that what is stored does not give.
    """
    asked, among = _side(part.queries), _side(part.documents)
    states = asked.reader.read(asked.ids)
    queries = Ragged(codec.unit(states.values), states.offsets)
    wanted = np.ones((len(asked.ids), len(among.ids)), bool) if part.wanted is None else part.wanted
    late = np.empty((len(part.views), *wanted.shape), np.float32)
    for which, packed in among.reader.packed(among.ids, WHOLE):
        for number, own, documents in _seen(part.views, asked, queries, among.some(which), packed):
            late[number][:, which] = maxsim.late_where(own, documents, wanted[:, which], exact=True)
    return Scores(exact.products(asked.pooled, among.pooled)[wanted], late[:, wanted])


@dataclass(frozen=True, slots=True)
class _Side:
    """Queries or documents with their pooled vectors (n, d), and what their states are read by."""

    reader: StatesReader
    ids: np.ndarray
    pooled: np.ndarray

    def some(self, at: np.ndarray) -> "_Side":
        return _Side(self.reader, self.ids[at], self.pooled[at])

    def masked(self, states: Packed, mask: Mask | None) -> Packed:
        return states if mask is None else reshaped.masked(states, self.reader.kept(self.ids, mask), self.pooled)

    def masked_values(self, states: Ragged, mask: Mask | None) -> Ragged:
        return states if mask is None else reshaped.masked_values(states, self.reader.kept(self.ids, mask), self.pooled)


def _side(segments: Segments) -> _Side:
    snapshot, reader = _open(segments.stored)
    return _Side(reader, segments.ids, inventory.vectors(snapshot, segments.ids, segments.files))


@functools.lru_cache(maxsize=2)
def _open(stored: Stored) -> tuple[Snapshot, StatesReader]:
    """Kept between parts, for queries' and documents' tables: opening reads the offsets of every file."""
    tables = layout.open_encoder(layout.open_lake(stored.lake), stored.encoder)
    snapshot = layout.pinned(tables, stored.pooled, stored.hidden_states)
    return snapshot, StatesReader(snapshot)


def _seen(
    views: Sequence[View], asked: _Side, queries: Ragged, among: _Side, packed: Packed
) -> Iterator[tuple[int, Ragged, Packed]]:
    """Under each view, by its number, the queries and the documents."""
    for mask_query, numbers in _by(views, range(len(views)), "mask_query"):
        own = asked.masked_values(queries, mask_query)
        for mask, some in _by(views, numbers, "mask"):
            documents = among.masked(packed, mask)
            for number in some:
                yield number, own, reshaped.recoded(documents, views[number].codec or documents.codec)


def _by(views: Sequence[View], numbers: Iterable[int], name: str) -> list[tuple[Any, list[int]]]:
    """The numbers of the views by one of their attributes."""
    found: dict[Any, list[int]] = {}
    for number in numbers:
        found.setdefault(getattr(views[number], name), []).append(number)
    return list(found.items())
