"""Late interaction over ragged states: mean over query tokens of the best cosine among a document's tokens.

Ragged means that nothing is padded: a padded 0 would beat every negative similarity.
"""

import functools
from dataclasses import dataclass

import numpy as np
import torch

from smart_jobs import codec
from smart_jobs.lake.states import Packed, Ragged, runs
from smart_jobs.records import Codec
from smart_jobs.search import compiled, products

TILE_BYTES, TILE_TOKENS = 4 << 20, 4096
"""What is multiplied at a time of the documents: bytes as they enter the product, and tokens."""
TILE_COLUMNS, TILE_PRODUCTS = 2048, 1 << 21
"""What of the queries, in columns of the product, or one query; and the most products, whose 8 MiB stay in a cache."""
PANEL_TOKENS, PANEL_BYTES = 4096, 4 << 20
"""Query tokens, and of floats bytes of them, or those of one query, that the compiled kernel is given at a time."""
FLOATS: dict[Codec, str] = {"float32": "<f4", "bf16": "<u2"}
"""As what the compiled kernel takes them."""
MOST = 0.25
"""Share of the pairs up to which they are scored one query at a time; beyond it all are, at once."""
MOST_COMPILED = 0.5
"""The same of the compiled kernel, which makes no copies: alone a query's time is that of reading its documents."""
ROUNDING = 1e-6
"""What float32 adds to a bound, for states of norm 1."""


def ragged(states: list[np.ndarray]) -> Ragged:
    """Stack (n_i, d) arrays, each with n_i ≥ 1."""
    offsets = np.concatenate([[0], np.cumsum([len(rows) for rows in states])])
    return Ragged(np.concatenate(states), offsets)


def late(queries: Ragged, documents: Packed, digits: int = products.DIGITS, *, exact: bool = False) -> np.ndarray:
    """(q, n) float32: SMART's late score of each query with each document; no segment is empty.

    (1/|q|) Σ_i max_j <q_i, d_j>, arXiv 2605.24938, for query states of norm 1 and document states as their codec gives
    them: what a float32 product with the decoded states gives, within its rounding. Where the codec stores integers, or
    with `exact`, a score is the same to the bit in whatever company it is computed; where it stores integers, one digit
    of the query instead of three is an approximation that is off by no more than `slack`. Documents are read once,
    by the compiled kernel once for each 4,096 query tokens, or 4 MiB of them where states are floats; besides the
    result some 25 MB are held, the queries' digits (8 bytes an element where floats are `exact`), and what one document
    or query longer than a tile takes.
    """
    if kernel := _kernel(documents.codec, exact=exact):
        return _compiled(kernel, queries, documents, np.arange(len(documents.offsets) - 1), digits)
    result = np.empty((len(queries.offsets) - 1, len(documents.offsets) - 1), np.float32)
    blocks = [_Asked.of(queries, first, last, documents.codec, digits, exact=exact)
              for first, last in runs(queries.offsets, TILE_COLUMNS // digits)]  # fmt: skip
    widest = max((asked.tokens.columns.shape[1] for asked in blocks), default=1)
    most = _tile_tokens(documents, widest)
    space = products.Space.of(most * widest, documents.codec, exact=exact)
    sizes = np.diff(documents.offsets)
    for begin, end in runs(documents.offsets, most):
        low, high = documents.offsets[[begin, end]].tolist()
        tiles = [products.tile(documents, at, min(at + most, high), exact=exact) for at in range(low, high, most)]
        parts = [sizes[begin:end].tolist()] if len(tiles) == 1 else [[len(tile.values)] for tile in tiles]
        for asked in blocks:  # tiles are of several documents, or several of one
            found = (products.product(tile, asked.tokens, space) for tile in tiles)
            best = functools.reduce(torch.maximum, map(_best, found, parts))
            result[asked.first : asked.last, begin:end] = _means(
                best.cpu().numpy(), asked.tokens.steps.cpu().numpy(), asked.bounds
            )
    return result


def _kernel(kind: Codec, *, exact: bool) -> compiled.Kernel | None:
    """What scores documents stored as `kind`, if not torch."""
    return None if exact and not products.as_integers(kind) else products.kernel(kind)


def _compiled(
    kernel: compiled.Kernel, queries: Ragged, documents: Packed, which: np.ndarray, digits: int
) -> np.ndarray:
    """(q, c) float32: `late` with documents `which` (c,), by the kernel. Only what is unpacked is copied.

    Raises MemoryError.
    """
    result = np.empty((len(queries.offsets) - 1, len(which)), np.float32)
    starts, ends = documents.offsets[which], documents.offsets[which + 1]
    whole = products.as_integers(documents.codec)
    size = documents.dim if documents.codec in ("int4", "binary") else 0  # of a token that is unpacked
    most = PANEL_TOKENS if whole else max(1, PANEL_BYTES // (4 * documents.dim))
    for first, last in runs(queries.offsets, most):
        bounds = queries.offsets[first : last + 1]
        panel = kernel.panel(queries.values[bounds[0] : bounds[-1]], digits if whole else 0)
        sums = 8 * 4 * len(panel.steps)  # counted eight times, so that they stay in a cache until their means are taken
        costs = np.concatenate([[0], np.cumsum(sums + size * (ends - starts))])
        for begin, end in runs(costs, TILE_BYTES):
            part, low, high = documents, starts[begin:end], ends[begin:end]
            if size:
                part = documents.take(which[begin:end])
                low, high = part.offsets[:-1], part.offsets[1:]
            values = codec.integers(part.rows, part.codec) if whole else part.rows.view(FLOATS[part.codec])
            best = kernel.best(panel, values, part.factors, low, high)
            result[first:last, begin:end] = _means(best, panel.steps, bounds)
    return result


def late_where(
    queries: Ragged, documents: Packed, wanted: np.ndarray, digits: int = products.DIGITS, *, exact: bool = False
) -> np.ndarray:
    """(q, n) float32: `late` where `wanted` (q, n); anything elsewhere.

    Where few pairs are wanted each query is scored alone with its own, of which copies are made where torch scores or
    codes are unpacked.
    """
    found = np.zeros(wanted.shape, np.float32)
    kernel = _kernel(documents.codec, exact=exact)
    alone = kernel is not None and len(wanted) == 1
    if not alone and wanted.mean() > (MOST_COMPILED if kernel else MOST):
        return late(queries, documents, digits, exact=exact)
    for row in np.flatnonzero(wanted.any(axis=1)).tolist():
        begin, end = queries.offsets[row], queries.offsets[row + 1]
        one = Ragged(queries.values[begin:end], np.array([0, end - begin]))
        which = np.flatnonzero(wanted[row])
        found[row, which] = (
            _compiled(kernel, one, documents, which, digits)
            if kernel
            else late(one, documents.take(which), digits, exact=exact)
        )[0]
    return found


@dataclass(frozen=True, slots=True)
class _Asked:
    """Queries first ... last, where in all tokens each begins and the last one ends, and their tokens."""

    first: int
    last: int
    bounds: np.ndarray
    tokens: products.Tokens

    @classmethod
    def of(cls, queries: Ragged, first: int, last: int, kind: Codec, digits: int, *, exact: bool) -> "_Asked":
        bounds = queries.offsets[first : last + 1]
        tokens = products.tokens(queries.values[bounds[0] : bounds[-1]], kind, digits, exact=exact)
        return cls(first, last, bounds, tokens)


def _means(best: np.ndarray, steps: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """(q, n) float64 of what each document has at best for each token, (n, tokens) in `steps` (tokens,); it is changed.

    The first query's tokens are bounds[0] ... bounds[1], and so on; those that follow the last one's do not count.
    """
    starts, counts = bounds[:-1] - bounds[0], np.diff(bounds)
    best *= steps
    each = best[:, : counts.sum()].astype(np.float64)
    found: np.ndarray = (np.add.reduceat(each, starts, axis=1) / counts).T
    return found


def _tile_tokens(documents: Packed, columns: int) -> int:
    """Tokens of these documents that are multiplied at a time with so many columns."""
    size = documents.dim * (1 if documents.codec in codec.FACTORS else 4)
    return max(1, min(TILE_TOKENS, TILE_BYTES // size, TILE_PRODUCTS // columns))


def slack(queries: Ragged, documents: Packed) -> np.ndarray:
    """(q, n) float32: how far `late` with one digit may be from `late`, at the most. Of a codec with factors.

    Cauchy-Schwarz: what the digit leaves of a query token, times the length of the document's longest token.
    """
    counts = np.diff(queries.offsets)
    missing = np.add.reduceat(products.lost(queries.values), queries.offsets[:-1]) / counts
    factors = np.maximum.reduceat(documents.factors.astype(np.float32, copy=False), documents.offsets[:-1])
    longest = products.lengths(factors, documents.dim, documents.codec)
    return (np.outer(missing, longest) + ROUNDING * longest).astype(np.float32)


def _best(similarities: torch.Tensor, sizes: list[int]) -> torch.Tensor:
    """The maximum over each document's rows: (document tokens, query tokens) -> (documents, query tokens).

    A call for each document: torch reads 8,000 x 6,700 similarities in 8 ms on two cores, np.maximum.reduceat in 146.
    """
    best = similarities.new_empty((len(sizes), similarities.shape[1]))
    for rows, out in zip(torch.split_with_sizes(similarities, sizes), best.unbind(), strict=True):
        torch.amax(rows, dim=0, out=out)
    return best
