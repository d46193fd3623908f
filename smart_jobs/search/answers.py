"""Hits as rows: for each what was found, where it lies, and its scores."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from smart_jobs import schema
from smart_jobs.lake.rows import Rows
from smart_jobs.records import Hits

WHERE = ["uri", "page", "start", "end"]


def table(rows: Rows, names: Sequence[str], hits: Hits) -> pa.Table:
    """A row for each of the hits (q, k), query by query and best first, in the schema of `hits`.

    Query i is called `names[i]`, and `rows` are those of the lake that was searched.
    """
    query, place = np.nonzero(hits.ids >= 0)
    ids = hits.ids[query, place]
    known = np.unique(ids)
    where = rows.read(known, WHERE).take(np.searchsorted(known, ids))
    columns = {
        "query": pa.array(names, pa.string()).take(query),
        "rank": place + 1,
        "segment_id": ids,
        "score": hits.scores[query, place],
        "late": hits.late[query, place],
        "pooled": pa.array(hits.pooled[query, place], from_pandas=True),  # NaN: the model has no score of its own
        **{name: where[name] for name in WHERE},
    }
    found = pa.table(columns).select(schema.HITS.columns.names)
    return found.cast(schema.HITS.columns)
