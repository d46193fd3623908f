"""A first stage that approximates the hybrid score, MUVERA's (arXiv 2405.19504), beside pooled vectors at equal bytes.

    python -m tests.bench.muvera [--lake DIR] [--sets scifact xquad/en]

A document's states become one vector: in each of R repetitions k random planes part the space into 2^k cells; of each
cell the mean of its states, or the state that is nearest by Hamming distance where it has none, projected at random to
few dimensions. A query's are sums. The inner product of the two approximates the late score, and with the pooled vector
beside it the hybrid score. Sets as `tests.bench.codecs` encodes and keeps them, λ = 1.

Printed for numbers of candidates: the share of the exact hybrid's best ten that are among them, and nDCG@10 of the
two-stage result. Vectors as they are; and in codes of equal bytes, the long ones projected to as many dimensions as
pooled has: at random (count sketch, half the codes for each part), or by PCA over both. Every code is looked at. There
are none for a set of fewer documents than dimensions.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np
from scipy import sparse

from smart_jobs.lake.states import Ragged
from smart_jobs.search import hybrid, maxsim
from tests.bench import codecs, two_stage
from tests.bench.codecs import Encoded

CANDIDATES = (10, 20, 50, 100, 200, 500)
SETTINGS = ((0, 1, 384), (3, 10, 128), (4, 20, 16), (5, 20, 16), (5, 20, 32))
"""Planes, repetitions, dimensions that a state is projected to: none but the mean of all states, to the paper's own."""
CODES = ("PQ{dim}x4np", "SQ8")
SAMPLE, CHUNK = 2000, 512
"""Documents that PCA is trained on, and that are encoded at a time."""


def main() -> None:
    """Print a table for every set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lake", help="folder of the lakes; a temporary one unless given")
    parser.add_argument("--sets", nargs="+", default=["xquad/en", "scifact"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name in options.sets:
            found = codecs.encoded(name, Path(options.lake or folder) / name.replace("/", "-"))
            exact = found.pooled + codecs.late_scores(found.queries, found.documents, "float32")
            print(f"\n{name}: {len(found.names)} queries x {len(found.documents):,} segments; exhaustive hybrid "
                  f"{100 * codecs.ndcg(found, exact).mean():.2f}\n{'':<40}"
                  f"{'  '.join(f'{count:>11}' for count in CANDIDATES)}")  # fmt: skip
            compared(found, exact)


def compared(found: Encoded, exact: np.ndarray) -> None:
    """Pooled alone, then every setting: as they are and in codes."""
    vectors = hybrid.pooled_vectors(found.corpus.snapshot, found.corpus.ids)
    line("pooled", found, exact, found.pooled)
    enough = len(vectors) > vectors.shape[1]
    for code in CODES if enough else ():
        line(f"pooled, {code.format(dim=vectors.shape[1])}", found, exact, coded(code, found.vectors, vectors))
    centre = np.mean([rows.mean(axis=0) for rows in found.documents], axis=0)
    for setting in SETTINGS:
        fde, start = Fde.of(centre, *setting), time.process_time()
        encoded = encode(fde, found.documents)
        spent = (time.process_time() - start) / len(encoded)
        stored, asked = np.hstack([vectors, encoded]), np.hstack([found.vectors, fde.queries(found.queries)])
        name = "k {} R {} p {}".format(*setting)
        line(f"{name}: {stored.shape[1]:,} dim., {1e3 * spent:.1f} ms", found, exact, asked @ stored.T)
        if not enough:
            continue
        for title, left, right in shortened(asked, stored, vectors.shape[1]):
            line(f"  {title}", found, exact, left @ right.T)
            for code in CODES[: 1 if right.shape[1] > vectors.shape[1] else None]:
                at = code.format(dim=vectors.shape[1])
                line(f"  {title}, {at}", found, exact, coded(code, left, right, vectors.shape[1]))


def encode(fde: "Fde", documents: Sequence[np.ndarray]) -> np.ndarray:
    """All documents, some at a time."""
    starts = range(0, len(documents), CHUNK)
    return np.concatenate([fde.documents(maxsim.ragged(list(documents[at : at + CHUNK]))) for at in starts])


def shortened(asked: np.ndarray, stored: np.ndarray, dim: int) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Queries and documents with fewer dimensions: a title, (q, m) and (n, m)."""
    random = np.random.default_rng(1)
    into = random.integers(0, dim, stored.shape[1] - dim)
    signs = random.choice(np.float32([-1, 1]), len(into))
    sketch = sparse.csr_matrix((signs, (np.arange(len(into)), into)), (len(into), dim))
    yield f"sketch {dim}", *(np.hstack([rows[:, :dim], rows[:, dim:] @ sketch]) for rows in (asked, stored))
    pca = faiss.PCAMatrix(stored.shape[1], dim)
    pca.train(np.ascontiguousarray(stored[:SAMPLE]))
    turn = faiss.vector_to_array(pca.A).reshape(pca.d_out, pca.d_in)
    yield f"PCA {dim}", asked @ turn.T, pca.apply(stored)


def coded(code: str, asked: np.ndarray, stored: np.ndarray, dim: int | None = None) -> np.ndarray:
    """Scores (q, n) by codes of as many bytes as vectors of `dim` dimensions have."""
    index = faiss.index_factory(stored.shape[1], code.format(dim=dim or stored.shape[1]), faiss.METRIC_INNER_PRODUCT)
    index.train(stored)
    index.add(stored)
    scores, rows = index.search(np.ascontiguousarray(asked), len(stored))
    by_column = np.empty_like(scores)
    np.put_along_axis(by_column, rows, scores, axis=1)
    return by_column


def line(title: str, found: Encoded, exact: np.ndarray, scores: np.ndarray) -> None:
    """What is kept and nDCG@10, for each number of candidates that come first by `scores` (q, n)."""
    order, cells = np.argsort(-scores, axis=1, kind="stable"), []
    for count in CANDIDATES:
        mask = two_stage.passed(order[:, :count], exact.shape[1])
        measured = codecs.ndcg(found, np.where(mask, exact, np.float32(-np.inf))).mean()
        cells.append(f"{two_stage.kept(exact, mask):.3f} {100 * measured:5.2f}")
    print(f"{title:<40}{'  '.join(cells)}", flush=True)


@dataclass(frozen=True, slots=True)
class Fde:
    """Fixed-dimensional encodings of states (d,): R repetitions of 2^k cells of p dimensions.

    `centre` (d,) is taken off before a state is put into a cell; `planes` (R, d, k), `projections` (R, d, p).
    """

    centre: np.ndarray
    planes: np.ndarray
    projections: np.ndarray

    @classmethod
    def of(cls, centre: np.ndarray, planes: int, repetitions: int, width: int) -> "Fde":
        """Random planes and signs; no projection where `width` is the states' own."""
        random, dim = np.random.default_rng(0), len(centre)
        signs = random.choice(np.float32([-1, 1]), (repetitions, dim, width)) / np.float32(np.sqrt(width))
        if width == dim:
            signs = np.broadcast_to(np.eye(dim, dtype=np.float32), signs.shape)
        return cls(centre, random.standard_normal((repetitions, dim, planes), np.float32), signs)

    def queries(self, states: Ragged) -> np.ndarray:
        """(q, R · 2^k · p): sums in each cell, over the number of states."""
        parts = [sums / np.diff(states.offsets)[:, None, None] for sums, _, _ in self._cells(states)]
        return self._joined(parts)

    def documents(self, states: Ragged) -> np.ndarray:
        """(n, R · 2^k · p): means in each cell, an empty one filled."""
        bits = self.planes.shape[2]
        apart = np.array([[(a ^ b).bit_count() for b in range(1 << bits)] for a in range(1 << bits)])
        parts = []
        for sums, counts, values in self._cells(states):
            filled = counts > 0
            means = sums / np.maximum(counts, 1)[:, :, None]
            nearest = np.where(filled[:, None, :], apart, bits + 1).argmin(axis=2)
            row, cell = np.nonzero(~filled)
            means[row, cell] = values(row, nearest[row, cell])
            parts.append(means)
        return self._joined(parts)

    def _joined(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        joined = np.stack(parts, axis=1) / np.sqrt(len(parts))
        return np.ascontiguousarray(joined.reshape(len(joined), -1), np.float32)

    def _cells(self, states: Ragged) -> Iterator[tuple]:
        """For each repetition sums (n, 2^k, p), counts (n, 2^k), and the first state of given rows and their cells."""
        n, cells = len(states.offsets) - 1, 1 << self.planes.shape[2]
        owner = np.repeat(np.arange(n), np.diff(states.offsets))
        for planes, projection in zip(self.planes, self.projections, strict=True):
            bits = (states.values - self.centre) @ planes > 0
            at = owner * cells + bits @ (1 << np.arange(bits.shape[1]))
            projected = states.values @ projection
            chosen = sparse.csr_matrix((np.ones(len(at), np.float32), (at, np.arange(len(at)))), (n * cells, len(at)))
            first = np.zeros(n * cells, np.int64)
            first[at[::-1]] = np.arange(len(at))[::-1]
            pick = lambda row, cell, first=first, projected=projected: projected[first[row * cells + cell]]  # noqa: E731
            yield (
                (chosen @ projected).reshape(n, cells, -1),
                np.bincount(at, minlength=n * cells).reshape(n, cells),
                pick,
            )


if __name__ == "__main__":
    main()
