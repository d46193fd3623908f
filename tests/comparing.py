"""Two lakes hold the same: settled as same keys, each once, same plain columns, vectors within rounding."""

from pathlib import Path
from typing import Any

import numpy as np

from smart_jobs import codec, schema
from smart_jobs.lake import layout, table
from smart_jobs.lake.layout import EncoderTables
from smart_jobs.lake.reader import StatesReader

CHANGING = {"run_id", "encoded_at", "at", "pooled", "attempts"}


def tables_of(lake: Path | str) -> EncoderTables:
    """The tables of the only encoder in a lake."""
    opened = layout.open_lake(str(lake))
    [name] = layout.encoders(opened)
    return layout.open_encoder(opened, name)


def rows(tables: EncoderTables, kind: schema.Table) -> list[dict[str, Any]]:
    """All rows of a table, sorted by its key."""
    found = table.dataset(table.open_table(tables.table_uri(kind))).to_table().to_pylist()
    return sorted(found, key=lambda row: [str(row[name]) for name in kind.key])


def plain(tables: EncoderTables, kind: schema.Table, root: Path | str) -> list[dict[str, Any]]:
    """Rows without what differs from run to run; URIs relative to `root`, since ids are hashes of them."""
    return [{name: value for name, value in row.items() if name not in CHANGING} for row in rows(tables, kind)]


def assert_same(left: Path | str, right: Path | str) -> None:
    """Raises where two lakes of the same source differ."""
    one, two = tables_of(left), tables_of(right)
    for kind in (schema.POOLED, schema.FAILURES):
        assert plain(one, kind, left) == plain(two, kind, right), kind.name
    pooled = [np.array([row["pooled"] for row in rows(side, schema.POOLED)], np.float32) for side in (one, two)]
    np.testing.assert_allclose(pooled[0], pooled[1], atol=1e-5)
    ids = [[row["segment_id"] for row in rows(side, schema.HIDDEN_STATES)] for side in (one, two)]
    assert ids[0] == ids[1]
    assert len(ids[0]) == len(set(ids[0])) == len(pooled[0])
    states = [StatesReader(layout.snapshot(side)).read(np.array(ids[0], np.int64)) for side in (one, two)]
    assert (states[0].offsets == states[1].offsets).all()
    step = 2 / codec.LEVELS["int8"] if one.codec == "int8" else 1e-5
    np.testing.assert_allclose(states[0].values, states[1].values, atol=step)
