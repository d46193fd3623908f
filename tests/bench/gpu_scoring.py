"""Scoring on a GPU, for `tests/bench/gpu.py`: late interaction, whole evaluations, exact search.

maxsim: a query of 32 tokens against ragged documents, and a long one, beside the padded einsum of the reference
evaluator, whose states lie on the device already; ours lie on the host as they are stored, and go up in each run.
evaluate: pooled, late and ranking over a part of the documents, and the reference over a subset; times marked * are
multiplied to the whole. Random states are nearly alike, so nothing is pruned: a real corpus takes less. pooled: torch's
products and top-k, in tiles and at once; no part of ours does that on a GPU.
"""

import statistics
from collections.abc import Callable

import numpy as np
import torch

from smart_jobs import codec
from smart_jobs.lake.states import Packed, Ragged
from smart_jobs.search import exact, maxsim, nearest
from tests.bench.gpu_rates import Sizes, seconds, spread

QUERY, TOP = 32, 10
"""Tokens of a query; hits."""


def stored(random: np.random.Generator, lengths: np.ndarray, dim: int) -> Packed:
    """Documents of so many tokens as int8 codes of random vectors of norm 1, nearly."""
    rows = random.integers(-100, 101, (int(lengths.sum()), dim), dtype=np.int8)
    factors = np.full(len(rows), (3 / 10_100 / dim) ** 0.5, codec.FACTORS["int8"])
    return Packed("int8", dim, factors, rows.view(np.uint8), np.concatenate([[0], np.cumsum(lengths)]))


def asked(random: np.random.Generator, queries: int, tokens: int, dim: int) -> Ragged:
    """Queries of random tokens of norm 1."""
    values = random.standard_normal((queries * tokens, dim), np.float32)
    return Ragged(codec.unit(values), np.arange(queries + 1) * tokens)


def late(sizes: Sizes, device: torch.device, repeats: int, rates: dict[str, float]) -> None:
    """One query of 32 tokens, and one long one."""
    random = np.random.default_rng(0)
    ragged = random.integers(sizes.tokens // 2, sizes.tokens * 3 // 2 + 1, sizes.documents)
    count, tokens = sizes.long
    for title, length, lengths in (
        ("one query", QUERY, ragged),
        ("one long query", tokens, np.full(count, tokens)),
    ):
        documents, query = stored(random, lengths, sizes.dim), asked(random, 1, length, sizes.dim)
        work = 2.0 * length * len(documents.rows) * sizes.dim
        print(f"\nmaxsim: {title} of {length} tokens, {len(lengths):,} documents, {len(documents.rows):,} states of "
              f"{sizes.dim}")  # fmt: skip
        wanted = None
        for name, run in ways(query, documents, device).items():
            times, scores = seconds(run, repeats)
            wanted = scores if wanted is None else wanted
            best = np.argsort(-wanted[0])[:TOP]
            same = len(set(best) & set(np.argsort(-scores[0])[:TOP]))
            print(f"  {name:<38} {spread([1e3 * each for each in times], 'ms')}, "
                  f"{work / statistics.median(times) / rates['bf16']:.3f} of bf16's, "
                  f"{work / statistics.median(times) / rates['int8']:.3f} of int8's; off by "
                  f"{np.abs(scores - wanted).max():.1e}, {same} of the best {len(best)}")  # fmt: skip


def ways(query: Ragged, documents: Packed, device: torch.device) -> dict[str, Callable[[], np.ndarray]]:
    """The reference in two types, with its states on the device, and ours."""
    padded, there = on_device(documents, device)
    narrow = padded.bfloat16()
    values = torch.from_numpy(query.values).to(device)
    return {
        "reference: padded einsum, float32": lambda: einsum(values, padded, there),
        "reference: padded einsum, bf16": lambda: einsum(values.bfloat16(), narrow, there),
        "ours, int8, from the host": lambda: maxsim.late(query, documents),
        "ours, int8, one digit (approximate)": lambda: maxsim.late(query, documents, 1),
    }


def on_device(documents: Packed, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """(n, t, d) float32, padded, and (n, t) bool: what is no padding."""
    lengths = torch.from_numpy(np.diff(documents.offsets)).to(device)
    there = torch.arange(int(lengths.max()), device=device) < lengths[:, None]
    padded = torch.zeros((*there.shape, documents.dim), device=device)
    codes = torch.from_numpy(documents.rows.view(np.int8)).to(device)
    factors = torch.from_numpy(documents.factors.astype(np.float32)).to(device)
    padded[there] = codes.float() * factors[:, None]
    return padded, there


def einsum(query: torch.Tensor, documents: torch.Tensor, there: torch.Tensor) -> np.ndarray:
    """(1, n): the reference evaluator's scores of one query; a document's padding is at the type's least."""
    products = torch.einsum("qd,ckd->cqk", query, documents)
    products = products.masked_fill_(~there[:, None], torch.finfo(products.dtype).min)
    scores: np.ndarray = products.amax(dim=2).float().mean(dim=1)[None].cpu().numpy()
    return scores


def evaluate(sizes: Sizes, device: torch.device, repeats: int) -> None:
    """Ours over all queries and some of the documents, the reference over a subset, both multiplied to the whole."""
    random = np.random.default_rng(0)
    queries, whole, some = sizes.evaluated
    documents = stored(random, np.full(some, sizes.tokens), sizes.dim)
    asks = asked(random, queries, QUERY, sizes.dim)
    vectors = codec.unit(random.standard_normal((queries + some, sizes.dim), np.float32))
    print(f"\nevaluate: {queries:,} queries of {QUERY} tokens, {whole:,} documents of {sizes.tokens:,}, the best {TOP}")
    ids = np.arange(some)

    def ours() -> nearest.Best:
        known = exact.products(vectors[:queries], vectors[queries:])
        return nearest.best(asks, [nearest.Block(ids, ids, known, documents)], TOP)

    few, part = sizes.reference
    padded, there = on_device(documents.take(np.arange(min(part, some))), device)
    values = torch.from_numpy(asks.values).to(device).split(QUERY)[:few]
    ranked = {
        f"ours, int8, {some:,} documents": (ours, whole / some),
        f"reference, float32, {few} x {len(padded)}": (
            lambda: [np.argsort(-einsum(value, padded, there)[0])[:TOP] for value in values],
            queries / few * whole / len(padded),
        ),
    }
    for name, (run, times) in ranked.items():
        taken, _ = seconds(run, min(repeats, 2))
        star = "* " if times > 1 else ""
        print(f"  {star}{name:<34} {spread([times * each for each in taken], 's')}")


def pooled(sizes: Sizes, device: torch.device, repeats: int, rate: float) -> None:
    """The exact best of all vectors for each query."""
    count, queries, k = sizes.vectors
    vectors = torch.nn.functional.normalize(torch.randn(count, sizes.dim, device=device), dim=1)
    asks = torch.nn.functional.normalize(torch.randn(queries, sizes.dim, device=device), dim=1)
    narrow = vectors.bfloat16(), asks.bfloat16()
    print(f"\npooled: {count:,} vectors of {sizes.dim}, {queries:,} queries, the best {k}")
    wanted = None
    for name, run in {
        "float32, in tiles": lambda: tiled(vectors, asks, k, sizes.tile),
        "bf16, in tiles": lambda: tiled(*narrow, k, sizes.tile),
        "bf16, at once": lambda: torch.topk(narrow[1] @ narrow[0].T, k, dim=1),
    }.items():
        times, (_, found) = seconds(run, repeats)
        wanted = found if wanted is None else wanted
        same = np.mean([len(set(one) & set(other)) / k for one, other in
                        zip(found[:100].tolist(), wanted[:100].tolist(), strict=True)])  # fmt: skip
        share = 2.0 * count * queries * sizes.dim / statistics.median(times) / rate
        print(f"  {name:<20} {spread([1e3 * each for each in times], 'ms')}, {share:.3f} of the bf16 rate, "
              f"{same:.3f} of float32's best")  # fmt: skip


def tiled(vectors: torch.Tensor, asks: torch.Tensor, k: int, tile: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores and places (q, k) of the best, holding the products of a tile."""
    scores, places = [], []
    for first in range(0, len(vectors), tile):
        part = vectors[first : first + tile]
        best = torch.topk(asks @ part.T, min(k, len(part)), dim=1)
        scores.append(best.values)
        places.append(best.indices + first)
    found = torch.topk(torch.cat(scores, 1), k, dim=1)
    return found.values, torch.cat(places, 1).gather(1, found.indices)
