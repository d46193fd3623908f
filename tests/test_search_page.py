"""What docs/search.md says of filters and of Python, on a real lake; each filter in both stages, against its rows."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from asking import add, filled, segments
from lake_making import rows_of

from smart_jobs import schema, storage
from smart_jobs.flow import searching
from smart_jobs.index import build, manifest
from smart_jobs.index.manifest import INDEX_FILE
from smart_jobs.lake import layout
from smart_jobs.lake.rows import Copied
from smart_jobs.search import hybrid, recall
from smart_jobs.search.opened import Opened

PAGE = (Path(__file__).parent.parent / "docs" / "search.md").read_text()
README = (Path(__file__).parent.parent / "README.md").read_text()
WHEN = "TIMESTAMP '2026-03-01T00:00:00Z'"
FILTERS = {
    "meta['tenant'] = 'acme'": lambda row: row["meta"]["tenant"] == "acme",
    "meta['tenant'] IN ('acme', 'blue')": lambda row: row["meta"]["tenant"] != "corp",
    "meta['team'] IS NULL": lambda row: "team" not in row["meta"],
    "meta['date'] >= '2026-03-01' AND meta['date'] < '2026-06-01'": lambda row: row["meta"]["date"][5:7] in "03 04 05",
    "CAST(meta['date'] AS DATE) >= DATE '2026-06-01'": lambda row: int(row["meta"]["date"][5:7]) >= 6,
    f"encoded_at >= {WHEN}": lambda row: "late" in row["uri"],
    "media IN ('image', 'video')": lambda row: row["media"] == "image",
    "starts_with(uri, '/in/north/')": lambda row: row["uri"].startswith("/in/north/"),
    "uri LIKE '/in/north/%'": lambda row: row["uri"].startswith("/in/north/"),
    "page < 3": lambda row: row["page"] < 3,
    "media = 'document' AND meta['tenant'] = 'acme' AND NOT page = 1": lambda row: (
        row["media"] == "document" and row["meta"]["tenant"] == "acme" and row["page"] != 1
    ),
}
SHOWN = re.findall(r"^\| [^|]+ \| `(.+)` \|$", PAGE, re.MULTILINE)


@pytest.fixture(scope="module")
def lake(tmp_path_factory, tiny_encoder):
    """1,200 segments of which 60 came later, in 16 lists of which one is visited; the middle between the two times."""
    folder = tmp_path_factory.mktemp("page")
    tables = filled(folder / "lake", tiny_encoder, segments(1140))
    middle = datetime.now(UTC)
    late = segments(60, "late")
    teamed = [replace(item, meta={**item.meta, "team": "x"}) if item.page == 1 else item for item in late]
    add(tables, tiny_encoder, teamed, 2)
    coarse_index(tables)
    return tables, middle


def coarse_index(tables) -> None:
    """The newest index: IVF, one list a query."""
    snapshot = layout.snapshot(tables)
    rows = rows_of(tables, schema.POOLED)
    ids = np.array([row["segment_id"] for row in rows])
    vectors = np.array([row["pooled"] for row in rows], np.float32)
    plan = build.plan(len(ids), tables.spec.dim, "IVF16,SQ8", 1)
    files = {INDEX_FILE: build.save(build.build(ids, vectors, plan))}
    [(_, made)] = [manifest.newest(storage.join(tables.uri, "indexes"))]
    pin = snapshot.versions()["pooled"]
    update = {"index_id": "coarse", "factory": plan.factory, "nprobe": 1, "vectors": len(ids), "built_from": pin,
              "files": manifest.entries(files), "created_at": datetime.now(UTC)}  # fmt: skip
    done = manifest.Manifest.model_validate({**made.model_dump(), **update})
    manifest.write(storage.join(tables.uri, "indexes", "coarse"), done, files)


def queries(tables, tiny_encoder):
    seen = searching.lake(tables.lake.uri, str(tiny_encoder))
    return seen, seen.embedded(["lake river stone", "music tin 7", "paper window", "a bridge"])


def test_every_filter_of_the_page_is_tested_here():
    assert list(FILTERS) == [where for where in SHOWN if where != "where="]


@pytest.mark.parametrize("shown", FILTERS)
def test_a_filter_is_exact_in_both_stages(lake, tiny_encoder, shown):
    tables, middle = lake
    where = shown.replace(WHEN, f"TIMESTAMP '{middle.isoformat()}'")
    pass_it = {row["segment_id"] for row in rows_of(tables, schema.POOLED) if FILTERS[shown](plain(row))}
    assert 0 < len(pass_it) < 1200
    seen, asked = queries(tables, tiny_encoder)
    assert set(seen.allowed(where).tolist()) == pass_it
    vectors = np.stack([query.pooled for query in asked])
    for wanted in (5, 2000):
        rows = hybrid.stage_one(seen, vectors, wanted, seen.allowed(where), filtered=True)
        assert set(rows[rows >= 0].tolist()) <= pass_it
        assert ((rows >= 0).sum(axis=1) == min(wanted, len(pass_it))).all(), "no query is left short"
    exact = hybrid.search(seen, asked, 10, where=where, exhaustive=True)
    found = hybrid.search(seen, asked, 10, where=where, candidates=2000)
    np.testing.assert_array_equal(found.ids, exact.ids)
    np.testing.assert_allclose(found.scores, exact.scores, atol=1e-6)
    assert set(exact.ids[exact.ids >= 0].tolist()) <= pass_it
    for ranked, ids in zip(hybrid.search(seen, asked, 1200, exhaustive=True).ids, exact.ids, strict=True):
        assert ids[ids >= 0].tolist() == [i for i in ranked.tolist() if i in pass_it][:10]


def plain(row: dict) -> dict:
    return {**row, "meta": dict(row["meta"])}


def test_recall_under_a_filter_is_what_the_candidates_make_of_it(lake, tiny_encoder):
    """Few candidates from one coarse list pass on less than all of the exact ten; many pass on all."""
    tables, _ = lake
    snapshot = layout.snapshot(tables)
    seen, where = Opened(snapshot, Copied(snapshot)), "meta['tenant'] <> 'acme'"
    allowed = seen.allowed(where)
    vectors = np.stack([query.pooled for query in queries(tables, tiny_encoder)[1]])
    shares = [
        recall.stage_one(seen, vectors, hybrid.stage_one(seen, vectors, wanted, allowed, filtered=True), allowed)
        for wanted in (5, 10, 2000)
    ]
    stored = seen.rows.vectors(allowed)
    ids = [allowed[np.argsort(-stored @ query)[:10]] for query in vectors]
    five = hybrid.stage_one(seen, vectors, 5, allowed, filtered=True)
    assert shares[0] == pytest.approx(np.mean([np.isin(best, row).mean() for best, row in zip(ids, five, strict=True)]))
    assert shares[0] <= 0.5 < shares[2] == 1.0


@pytest.mark.parametrize("page", [README, PAGE], ids=["README", "docs/search.md"])
def test_the_python_of_the_page_runs(lake, tiny_encoder, monkeypatch, capsys, page):
    monkeypatch.chdir(Path(lake[0].lake.uri).parent)
    [code] = [block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "hybrid" in block]
    assert '"minilm"' in code
    names: dict = {}
    exec(compile(code.replace('"minilm"', f'"{tiny_encoder}"'), "page", "exec"), names)
    assert names["hits"].ids.shape == (2, 10)
    assert (names["hits"].ids >= 0).all()
    assert "(2, 10)" in capsys.readouterr().out
