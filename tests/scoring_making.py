"""Made-up queries and candidates with states and kinds of tokens, in a lake, and their scores by double loops.

Everything is float64 and written out: what the scoring of an evaluation is compared with.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from smart_jobs import codec, masks, wire
from smart_jobs.evaluate.tasks import SOURCE, Item
from smart_jobs.lake import inventory, layout, writer
from smart_jobs.lake.inventory import Located
from smart_jobs.lake.layout import EncoderTables
from smart_jobs.masks import Mask
from smart_jobs.records import Asset, Codec, Embedding, Side
from tests.lake_making import make_committer, make_segment, make_tables

KINDS = (masks.TEMPLATE, masks.INSTRUCTION, masks.TEXT, masks.IMAGE)


TOKENS = (2, 9)
"""States of a segment: as many as the first at the least, fewer than the second."""


def embedding(text: str, side: Side, dim: int, tokens: tuple[int, int] = TOKENS) -> Embedding:
    """Always the same for a text and side; `blank…` has no token of its own content."""
    random = np.random.default_rng(list(f"{side} {text}".encode()))
    n = int(random.integers(*tokens))
    kinds = np.full(n, masks.TEMPLATE) if text.startswith("blank") else random.choice(KINDS, n)
    pooled = codec.unit(random.standard_normal((1, dim)))[0]
    return Embedding(pooled, codec.unit(random.standard_normal((n, dim))), kinds.astype(np.uint8))


def asset(text: str, side: Side) -> Asset:
    """As an evaluation has it."""
    return Item(text).asset(side, "")


def fill(
    tables: EncoderTables,
    queries: Sequence[str],
    documents: Sequence[str],
    per_file: int = 4,
    tokens: tuple[int, int] = TOKENS,
    epoch: int = 1,
) -> None:
    """Put what is said by these texts into the tables, a few segments a file; `a/b` is one asset of two segments.

    A further call for the same tables has a higher epoch.
    """
    parts = [(text, "query") for text in queries] + [(text, "document") for text in documents]
    segments = [
        (text, side, number, len(text.split("/"))) for text, side in parts for number in range(len(text.split("/")))
    ]
    committer = make_committer(tables, epoch)
    for start in range(0, len(segments), per_file):
        some = segments[start : start + per_file]
        made = [segment_of(*item) for item in some]
        found = [embedding(text.split("/")[number], side, tables.spec.dim, tokens) for text, side, number, _ in some]
        unit = {"unit": f"u{start}", "segments": [], "copies": [], "failures": [], "assets": []}
        row = pa.Table.from_pylist([unit], schema=wire.UNIT)
        committer.add(writer.receipt(tables, row, made, found, "r"))
        committer.commit()


def segment_of(text: str, side: Side, ordinal: int, of: int):
    """The segment of a part of a text."""
    made = make_segment(asset(text, side).uri, "v", ordinal, of, text.split("/")[ordinal])
    return replace(made, side=side, source=SOURCE)


@dataclass(frozen=True)
class Lake:
    """Tables with these queries and documents, and where they lie, in this order."""

    tables: EncoderTables
    queries: tuple[str, ...]
    documents: tuple[str, ...]

    def located(self, texts: Sequence[str], side: Side) -> Located:
        """Their first segments."""
        have = inventory.read(layout.snapshot(self.tables))
        row = {key: at for at, key in enumerate(have.rows["segment_id"].to_pylist())}
        ids = [segment_of(text, side, 0, len(text.split("/"))).segment_id for text in texts]
        return have.located(np.array([row[key] for key in ids], np.int64))


def make(folder, queries: Sequence[str], documents: Sequence[str], name: Codec = "int8", dim: int = 24, **how) -> Lake:
    """A lake of its own; `how` as in `fill`."""
    tables = make_tables(folder, name, dim=dim)
    fill(tables, queries, documents, **how)
    return Lake(tables, tuple(queries), tuple(documents))


def seen(found: Embedding, mask: Mask | None, kind: Codec) -> np.ndarray:
    """(n, d) float64: the states that a mask keeps, or the pooled vector, as the codec gives them back."""
    keep = np.ones(len(found.states), bool) if mask is None else masks.keep(found.kinds, mask)
    states = found.states[keep] if keep.any() else found.pooled[None]
    return codec.decode(codec.encode(states, kind), *states.shape, kind).astype(np.float64)


def late(query: np.ndarray, document: np.ndarray) -> float:
    """(1/|q|) Σ_i max_j <q_i, d_j>."""
    total = 0.0
    for one in query:
        total += max(float(np.dot(one, other)) for other in document)
    return total / len(query)


def pooled(query: Embedding, document: Embedding) -> float:
    """The cosine."""
    return float(np.dot(query.pooled.astype(np.float64), document.pooled.astype(np.float64)))
