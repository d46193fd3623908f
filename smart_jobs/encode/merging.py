"""Token merging: a document's states -> fewer, each the mean of states that lie close together."""

from collections.abc import Sequence

import numpy as np
from scipy.cluster import hierarchy

from smart_jobs import codec
from smart_jobs.encode.encoder import Encoder
from smart_jobs.encode.prompts import Prompt
from smart_jobs.records import AssetError, Embedding, Segment


class Merging:
    """An encoder whose documents keep one state in `factor`; queries keep all of theirs."""

    def __init__(self, inner: Encoder, factor: int) -> None:
        """Merge what `inner` gives."""
        self.spec = inner.spec
        self._inner, self._factor = inner, factor

    def encode(self, segments: Sequence[Segment]) -> list[Embedding | AssetError]:
        """One result for each segment, in order."""
        results = self._inner.encode(segments)
        return [
            Embedding(result.pooled, merge(result.states, self._factor))
            if isinstance(result, Embedding) and segment.side == "document"
            else result
            for segment, result in zip(segments, results, strict=True)
        ]

    def prompt(self, segment: Segment) -> Prompt:
        """As `inner` has it: what is merged are states."""
        return self._inner.prompt(segment)


def merge(states: np.ndarray, factor: int) -> np.ndarray:
    """(n, d) finite states -> (n / factor rounded up, d) float32: the mean of each cluster of the unit vectors.

    Hierarchical clustering by Ward's method over their distances, √(2 - 2 cos): the two clusters are joined whose union
    scatters least, until few enough are left. Clusters come in the order of their first token. Takes some 30·n² bytes.
    """
    rows = codec.unit(states)
    kept = -(-len(rows) // factor)
    if kept == len(rows):
        return rows
    cluster = _clusters(rows, kept)
    order = np.argsort(cluster, kind="stable")
    starts = np.searchsorted(cluster[order], np.arange(kept))
    sums = np.add.reduceat(rows[order].astype(np.float64), starts)
    means: np.ndarray = (sums / np.bincount(cluster)[:, None]).astype(np.float32)
    return means


def _clusters(rows: np.ndarray, kept: int) -> np.ndarray:
    """Which of `kept` clusters each unit vector is in, (n,) int, numbered by their first member."""
    exact = rows.astype(np.float64)
    above = np.triu_indices(len(rows), 1)
    distances = np.sqrt(np.maximum(2 - 2 * (exact @ exact.T)[above], 0))
    merges = hierarchy.linkage(distances, "ward")
    merges[:, 2] = np.arange(len(merges))  # by rank, so that equal distances cut no fewer clusters than asked for
    labels = hierarchy.fcluster(merges, len(rows) - kept - 0.5, "distance")
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    places: np.ndarray = np.argsort(np.argsort(first))[inverse]
    return places
