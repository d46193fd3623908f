"""The vectors of files, of ids, and files in groups, against the whole table."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keeping import make_lake
from lake_making import Doc, rows_of

from smart_jobs import schema
from smart_jobs.lake import layout, matrices, table

DIM = 4


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    return make_lake(tmp_path_factory.mktemp("lake"), *([Doc(name, "v1", "g" * count)] for name, count in
                     zip("abcde", (1, 5, 2, 7, 3), strict=True)))  # fmt: skip


def test_all_groups_together_are_the_table(tables):
    pooled = layout.snapshot(tables).pooled
    wanted = {row["segment_id"]: row["pooled"] for row in rows_of(tables, schema.POOLED)}
    found = {}
    for group in matrices.groups(pooled, DIM, 100):
        ids, vectors = matrices.read(pooled, group, DIM)
        assert (ids.dtype, vectors.dtype, vectors.shape) == (np.int64, np.float32, (len(ids), DIM))
        assert matrices.ids(pooled, group).tolist() == sorted(ids.tolist())
        found |= dict(zip(ids.tolist(), vectors.tolist(), strict=True))
    assert found == wanted
    some = np.sort(np.array(list(wanted))[::3])
    files = sorted(table.files_of(pooled))
    ids, vectors = matrices.read(pooled, files, DIM, some)
    assert sorted(ids.tolist()) == some.tolist()
    assert all(wanted[name] == vector for name, vector in zip(ids.tolist(), vectors.tolist(), strict=True))


@given(most=st.integers(1, 2_000))
def test_groups_keep_the_order_and_the_limit(tables, most):
    pooled = layout.snapshot(tables).pooled
    groups = matrices.groups(pooled, DIM, most)
    assert [file for group in groups for file in group] == sorted(table.files_of(pooled))
    for group in groups:
        assert len(group) == 1 or 4 * DIM * len(matrices.ids(pooled, group)) <= most
    if most >= 4 * DIM * pooled.count():
        assert len(groups) == 1
