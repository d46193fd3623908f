"""Choose, train, fill, save and load the faiss index over the pooled vectors of one encoder."""

import math
import re
from dataclasses import dataclass

import faiss
import numpy as np

from smart_jobs.index import training
from smart_jobs.records import UsageError

EXACT_BELOW = 1_000
"""Vectors under which no index is trained: the scan is instant, and a codebook would be fitted to noise."""

MIN_POINTS, WANTED_POINTS, MAX_POINTS = 39, 100, 256
"""Training vectors for each centroid: fewer and faiss warns; what lists get; more and faiss samples."""

EIGHT_BITS_FROM = 10_000
"""8-bit sub-quantisers have 256 centroids each, hence 256 · 39 = 9,984 training vectors, rounded."""

HNSW_FROM = 16_384
"""Lists from which the nearest centroids are found by a graph: comparing with all of them is the cost of a query."""

VISITED = 32_768
"""Vectors that a query looks at, at least: milliseconds. Queries lie elsewhere than documents, so few lists miss much:
on SciFact 46 of 128 lists cost 0.9 points of nDCG@10, 96 none (docs/log.md)."""

TRAINING_BYTES = 16 << 30
"""Upper bound of the float32 training sample; at dimension 4,096 it holds 1,048,576 vectors, or 16,384 lists."""

CHECKED_ROWS = 65_536
"""Vectors that are checked in one go, so that temporaries stay small."""

NORM_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class Plan:
    """A faiss factory string, the lists that a query visits, and one sentence that says why."""

    factory: str
    nprobe: int
    why: str


def plan(vectors: int, dim: int, factory: str | None = None, nprobe: int | None = None) -> Plan:
    """Choose the index for `vectors` unit vectors; `factory` and `nprobe` are the user's, taken where given.

    Under `EXACT_BELOW` vectors it is exact. Numbers of lists are autofaiss's (optimize.py): 2^round(log2(4√N)) under
    1 M, 16,384 under 10 M, 65,536 under 300 M, then 131,072; fewer where each would get under 39 training vectors.
    `nprobe` visits `VISITED` vectors or ⌈4√lists⌉ lists, whichever is more, and at most all lists, also where given.
    Raises UsageError for what cannot be built.
    """
    if nprobe is not None and nprobe < 1:
        raise UsageError(f"index.nprobe={nprobe}: at least one list has to be visited")
    if factory is not None:
        factory = _with_lists(factory, vectors, dim)
        _check_factory(factory, vectors, dim)
        why = "the factory is the user's"
    elif vectors < EXACT_BELOW:
        factory = "Flat"
        why = f"exact: {vectors:,} vectors are under the {EXACT_BELOW:,} from which an index is trained"
    else:
        factory, why = _choose(vectors, dim)
    lists = lists_of(factory)
    enough = max(math.ceil(4 * math.sqrt(lists)), math.ceil(lists * VISITED / max(vectors, 1)))
    return Plan(factory, min(lists, nprobe or enough), why)


def _choose(vectors: int, dim: int) -> tuple[str, str]:
    """The IVF-PQ factory for so many vectors, and why."""
    coarse, bits = _lists(vectors, dim), 8 if _points(vectors, dim) >= EIGHT_BITS_FROM else 4
    subs = _sub_quantisers(vectors, dim, bits)
    factory = f"{coarse},PQ{subs}x{bits}np"
    lists = lists_of(factory)
    why = (
        f"IVF-PQ: {vectors:,} vectors in {lists:,} lists, each trained on about "
        f"{training_rows(factory, vectors, dim) // lists:,}; "
        f"{subs} x {bits} bits = {(subs * bits + 7) // 8:,} bytes a vector instead of {4 * dim:,}"
    )
    return factory, why


def _points(vectors: int, dim: int) -> int:
    """How many vectors there are to train on."""
    return min(vectors, TRAINING_BYTES // (4 * dim))


def _lists(vectors: int, dim: int) -> str:
    """The first part of a factory: as many lists as searching wants and training allows, with a graph over many."""
    most = min(_wanted_lists(vectors), _points(vectors, dim) // MIN_POINTS)
    lists = 1 << (max(most, 1).bit_length() - 1)
    return f"IVF{lists}{'_HNSW32' if lists >= HNSW_FROM else ''}"


def _with_lists(factory: str, vectors: int, dim: int) -> str:
    """`IVF,SQ8` with the number of lists that the number of vectors gives; any other as it is."""
    coarse, comma, codes = factory.partition(",")
    return f"{_lists(vectors, dim)},{codes}" if coarse == "IVF" and comma else factory


def _wanted_lists(vectors: int) -> int:
    """How many lists searching wants, were training free (autofaiss, optimize.py)."""
    if vectors < 1_000_000:
        return 1 << round(math.log2(4 * math.sqrt(vectors)))
    if vectors < 10_000_000:
        return 16_384
    return 65_536 if vectors < 300_000_000 else 131_072


def _sub_quantisers(vectors: int, dim: int, bits: int) -> int:
    """The smallest divisor of `dim` that is no coarser than wanted; for a prime that is `dim` itself.

    Half a byte a dimension gives a recall@10 around 0.94 on MiniLM (a quarter: 0.86), and under a million vectors its
    bytes are nothing; above, memory and scan time count. The caps bound the table look-ups for each visited vector.
    """
    size = min(dim // 2, 1_024) if vectors < 1_000_000 else min(dim // 4, 512)
    if vectors >= 10_000_000:
        size = min(dim // 8, 256)
    return next(m for m in range(max(8 * size // bits, 1), dim + 1) if dim % m == 0)


def lists_of(factory: str) -> int:
    """The number of inverted lists that a factory string asks for; 1 for an exact index."""
    found = re.match(r"IVF(\d+)", factory)
    return int(found.group(1)) if found else 1


def _check_factory(factory: str, vectors: int, dim: int) -> None:
    """Refuse what faiss cannot make, what cannot be trained, and what would lose ids (an IDMap around an IVF)."""
    if factory == "Flat":
        return
    try:
        index = faiss.index_factory(dim, factory, faiss.METRIC_INNER_PRODUCT)
    except RuntimeError as error:
        raise UsageError(f"index.factory={factory}: faiss cannot make it for dimension {dim}") from error
    if not isinstance(index, faiss.IndexIVF):
        raise UsageError(f"index.factory={factory}: it has to be Flat, or IVF… without a transform or refinement")
    if vectors < (needed := max(lists_of(factory), _codes(factory))):
        raise UsageError(f"index.factory={factory}: {vectors:,} vectors cannot train {needed:,} centroids")


def training_rows(factory: str, vectors: int, dim: int) -> int:
    """How many of the vectors are trained on: 100 a list, 256 a PQ centroid, within `TRAINING_BYTES`; 0 if exact."""
    if not factory.startswith("IVF"):
        return 0
    wanted = max(WANTED_POINTS * lists_of(factory), MAX_POINTS * _codes(factory))
    return min(vectors, wanted, TRAINING_BYTES // (4 * dim))


def training_bytes(factory: str, vectors: int, dim: int) -> int:
    """Peak bytes that training needs beside the vectors: float32 sample, centroids, and PQ's points and residuals."""
    rows = training_rows(factory, vectors, dim)
    residuals = 2 * min(rows, MAX_POINTS * _codes(factory))
    return 4 * dim * (rows + residuals + lists_of(factory)) if rows else 0


def _codes(factory: str) -> int:
    """Centroids of each PQ sub-quantiser; 0 where there is no PQ."""
    found = re.search(r",PQ\d+(?:x(\d+))?", factory)
    return 1 << int(found.group(1) or 8) if found else 0


def build(ids: np.ndarray, vectors: np.ndarray, plan: Plan) -> faiss.Index:
    """An index of `vectors` (n, d) float32 of norm 1 under `ids` (n,) int64, searched by inner product.

    The same input gives the same bytes on the same kind of CPU (PQ codebooks differ between AVX2 and AVX-512: ship
    the file, never train again elsewhere). Raises ValueError, before any work, naming the first id that is double, or
    whose vector is not finite or not of norm 1 (± 0.001). Nothing is written: a crash leaves nothing.
    """
    check_vectors(ids, vectors)
    places = training.choose(np.arange(len(ids)), training_rows(plan.factory, *vectors.shape))
    index = training.empty(plan.factory, vectors if len(places) == len(ids) else vectors[places])
    index.add_with_ids(np.ascontiguousarray(vectors), ids)
    if isinstance(index, faiss.IndexIVF):
        index.nprobe = plan.nprobe
    return index


def check_vectors(ids: np.ndarray, vectors: np.ndarray) -> None:
    """Raise ValueError, naming the first offending id, unless ids are unique and vectors are finite and of norm 1.

    faiss itself accepts double ids silently, and answers -1 for a stored NaN.
    """
    if vectors.ndim != 2 or vectors.dtype != np.float32 or ids.dtype != np.int64 or ids.shape != vectors.shape[:1]:
        raise ValueError(f"wanted (n,) int64 and (n, d) float32, not {ids.shape} {ids.dtype}, {vectors.shape}")
    first = np.unique(ids, return_index=True)[1]
    if len(first) < len(ids):
        raise ValueError(f"id {ids[np.setdiff1d(np.arange(len(ids)), first)[0]]} is there twice")
    for start in range(0, len(ids), CHECKED_ROWS):
        chunk = vectors[start : start + CHECKED_ROWS]
        finite = np.isfinite(chunk).all(axis=1)
        if not finite.all():
            raise ValueError(f"the vector of id {ids[start + finite.argmin()]} is not finite")
        with np.errstate(over="ignore"):
            norms = np.linalg.norm(chunk, axis=1)
        if (wrong := np.abs(norms - 1) > NORM_TOLERANCE).any():
            at = wrong.argmax()
            raise ValueError(f"the vector of id {ids[start + at]} has norm {norms[at]:.6g}, not 1")


def changeable(factory: str) -> bool:
    """Whether vectors can be added to and taken out of an index of this kind, and parts of it merged.

    Not where codes are packed for fast scans: in faiss 1.15.1 such an index finds other vectors than before once ids
    have been removed and added again, and merging parts of one corrupts memory (docs/log.md).
    """
    return "fs" not in factory


def search_parameters(index: faiss.Index, nprobe: int, selector: faiss.IDSelector | None = None) -> object:
    """What `index.search(…, params=)` wants for visiting `nprobe` lists and only ids that `selector` lets through."""
    if not isinstance(index, faiss.IndexIVF):
        return faiss.SearchParameters(sel=selector)
    if isinstance(faiss.downcast_index(index.quantizer), faiss.IndexHNSW):
        graph = faiss.SearchParametersHNSW(efSearch=2 * nprobe)
        return faiss.SearchParametersIVF(nprobe=nprobe, sel=selector, quantizer_params=graph)
    return faiss.SearchParametersIVF(nprobe=nprobe, sel=selector)


def save(index: faiss.Index) -> bytes:
    """The index as bytes for any store; the same index gives the same bytes."""
    return bytes(faiss.serialize_index(index).tobytes())


def load(data: bytes) -> faiss.Index:
    """The index that `save` gave. faiss raises RuntimeError for bytes that are none: verify checksums before."""
    return faiss.deserialize_index(np.frombuffer(data, dtype=np.uint8))
