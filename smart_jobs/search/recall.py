"""How much of the exact nearest the first stage passes on, for given queries under their filter."""

import numpy as np

from smart_jobs.index import check
from smart_jobs.search.opened import Opened

NEAREST = 10


def stage_one(lake: Opened, pooled: np.ndarray, rows: np.ndarray, allowed: np.ndarray) -> float:
    """The share of the exact ten nearest of the segments `allowed` (sorted) that is among the candidates.

    `rows` (q, c) are the candidates of queries (q, d). Every allowed vector is read once.
    """

    def batches() -> check.Batches:
        return lambda: (
            (ids, lake.rows.vectors(ids))
            for ids in np.split(allowed, range(check.CHUNK_ROWS, len(allowed), check.CHUNK_ROWS))
        )

    own = np.full(len(pooled), -1, np.int64)
    return float(check.recalls(pooled, own, [rows], [rows.shape[1]], batches(), NEAREST)[0, 0])
