"""The recall of stage one under a filter, against counting by hand."""

import numpy as np
import pytest
from keeping import make_index, make_lake
from lake_making import Doc

from smart_jobs.index import check
from smart_jobs.lake import layout
from smart_jobs.lake.rows import Copied, Scanned
from smart_jobs.search import hybrid, opened, recall
from smart_jobs.search.opened import Opened

DIM = 8


@pytest.mark.parametrize("rows", [Scanned, Copied])
def test_the_share_of_the_exact_ten_that_pass_the_filter(tmp_path, monkeypatch, rows):
    tables = make_lake(tmp_path, [Doc(f"d{n}", "v1", "gggg") for n in range(30)], dim=DIM)
    make_index(tables)
    monkeypatch.setattr(check, "CHUNK_ROWS", 7)
    snapshot = layout.snapshot(tables)
    lake = Opened(snapshot, rows(snapshot))
    allowed = lake.allowed("uri < 'd2'")
    random = np.random.default_rng(0)
    asked = random.standard_normal((5, DIM)).astype(np.float32)
    vectors = lake.rows.vectors(allowed)
    exact = [set(allowed[np.argsort(-vectors @ query)[:10]].tolist()) for query in asked]
    chosen = np.stack([random.permutation(allowed)[:20] for _ in asked])
    chosen[:, 15:] = -1
    wanted = np.mean([len(best & set(row.tolist())) / 10 for best, row in zip(exact, chosen, strict=True)])
    assert recall.stage_one(lake, asked, chosen, allowed) == pytest.approx(wanted)
    assert 0 < wanted < 1
    passed_on = hybrid.stage_one(lake, asked, 10, allowed, filtered=True)
    assert recall.stage_one(lake, asked, passed_on, allowed) == 1.0


def test_fewer_than_ten_that_pass_are_all_wanted(tmp_path):
    tables = make_lake(tmp_path, [Doc("a", "v1", "gggg")], dim=DIM)
    lake = opened.newest(tables)
    allowed = lake.allowed("ordinal < 3")
    asked = np.eye(DIM, dtype=np.float32)[:2]
    assert recall.stage_one(lake, asked, np.stack([allowed, allowed]), allowed) == 1.0
    assert recall.stage_one(lake, asked, np.stack([allowed[:1], allowed[:1]]), allowed) == pytest.approx(1 / 3)
