"""A task cut into parts: blocks of queries against slices of what they rank, all bounded in bytes and in work."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from smart_jobs import codec
from smart_jobs.evaluate.parts import Part, Segments
from smart_jobs.evaluate.views import AS_STORED, View
from smart_jobs.lake.inventory import Located
from smart_jobs.lake.states import runs
from smart_jobs.records import Codec


@dataclass(frozen=True, slots=True)
class Sizes:
    """What a part holds at the most, unless a single query or document is more.

    `query_bytes` of query states as float32, `queries` of them; `document_bytes` of document states as stored and of
    pooled vectors, `documents` of them; and `work` multiplications, some ten seconds of one core with integer products.
    """

    query_bytes: int = 256 << 20
    queries: int = 1024
    document_bytes: int = 256 << 20
    documents: int = 16384
    work: int = 1 << 40


SIZES = Sizes()


@dataclass(frozen=True, slots=True)
class Pairs:
    """Which of n documents each of q queries ranks: places `rows[i]`, sorted, each once; without `rows` all.

    The scores of all pairs lie in one array (p,), query by query: those of query i from `offsets[i]` (q + 1,) on.
    """

    offsets: np.ndarray
    rows: Sequence[np.ndarray] | None

    @classmethod
    def all(cls, queries: int, documents: int) -> "Pairs":
        """Every query with every document."""
        return cls(documents * np.arange(queries + 1), None)

    @classmethod
    def some(cls, rows: Sequence[np.ndarray]) -> "Pairs":
        """Each query with its own, sorted."""
        return cls(np.cumsum([0, *(len(row) for row in rows)]), rows)

    def of(self, query: int) -> slice:
        """Where the scores of a query lie."""
        return slice(int(self.offsets[query]), int(self.offsets[query + 1]))


@dataclass(frozen=True, slots=True)
class Cut:
    """A part, and where in the array of all pairs each of its scores belongs (p,)."""

    part: Part
    places: np.ndarray


def work(queries: Located, documents: Located, pairs: Pairs) -> float:
    """Multiplications that a task's late scores need: query tokens times document tokens times dimensions."""
    dim = queries.snapshot.tables.spec.dim
    if pairs.rows is None:
        return float(queries.tokens.sum()) * float(documents.tokens.sum()) * dim
    own = [float(documents.tokens[row].sum()) for row in pairs.rows]
    return float(np.dot(queries.tokens, own)) * dim


def cut(
    queries: Located,
    documents: Located,
    pairs: Pairs,
    views: Sequence[View] = (AS_STORED,),
    sizes: Sizes = SIZES,
) -> Iterator[Cut]:
    """The parts of a task, a block of queries after the other, each with slices of what any of them ranks.

    A document is in one part for each block that ranks it: where queries are short there is one block, and every
    document is read once; where they are long, videos, there are many, and each reads its own queries once, and
    candidates, which are few then or short, again.
    """
    dim, stored = queries.snapshot.tables.spec.dim, cast("Codec", documents.snapshot.tables.codec)
    for first, last in _runs(4 * dim * queries.tokens / sizes.query_bytes + 1 / sizes.queries):
        among = _among(pairs, first, last, documents)
        tokens = documents.tokens[among]
        size = (codec.size(1, dim, stored) * tokens + 4 * dim) / sizes.document_bytes + 1 / sizes.documents
        each = float(queries.tokens[first:last].sum()) * dim * tokens / sizes.work
        for begin, end in _runs(size + each):
            chosen = np.sort(among[begin:end])
            wanted, places = _wanted(pairs, first, last, chosen)
            asked = Segments.of(queries.take(np.arange(first, last)))
            yield Cut(Part(asked, Segments.of(documents.take(chosen)), wanted, tuple(views)), places)


def _runs(costs: np.ndarray) -> list[tuple[int, int]]:
    """Runs that cost 1 at the most each, or are of a single thing."""
    return runs(np.concatenate([[0.0], np.cumsum(costs)]), 1)


def _among(pairs: Pairs, first: int, last: int, documents: Located) -> np.ndarray:
    """The documents that any query of a block ranks, file by file: a slice reads few of them."""
    some = np.arange(len(documents.ids))
    if pairs.rows is not None:
        some = np.unique(np.concatenate([some[:0], *pairs.rows[first:last]]))
    ordered: np.ndarray = some[np.argsort(documents.file[some], kind="stable")]
    return ordered


def _wanted(pairs: Pairs, first: int, last: int, chosen: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
    """Which pairs of a block and some documents, sorted, are wanted, and where the scores of these belong."""
    if pairs.rows is None:
        return None, (pairs.offsets[first:last, None] + chosen).ravel()
    own = pairs.rows[first:last]
    wanted = np.stack([np.isin(chosen, row, assume_unique=True) for row in own])
    places = [start + np.flatnonzero(np.isin(row, chosen, assume_unique=True))
              for start, row in zip(pairs.offsets[first:last], own, strict=True)]  # fmt: skip
    return wanted, np.concatenate(places)
