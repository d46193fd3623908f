"""An index is built in steps that survive a kill, kept current by what changed, refused where it finds too little."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from keeping import data_files, ingest, replace_file
from lake_making import Doc, Run, make_committer, make_receipt, make_segment, make_tables, rows_of

from smart_jobs import schema, storage
from smart_jobs.flow import indexing, maintaining, query_rows
from smart_jobs.index import build, manifest, refresh
from smart_jobs.keys import Encoder, Index, Lake, Tune
from smart_jobs.lake import layout
from smart_jobs.records import JobError
from smart_jobs.settings import IndexJob, Maintain

DIM = 16
DOCS = [Doc(f"doc{number}", "v1", "g" * 60) for number in range(20)]
MORE = [Doc(f"more{number}", "v1", "g" * 60) for number in range(3)]


def make_lake(folder, *rounds):
    tables = make_tables(folder, dim=DIM)
    for docs in rounds:
        ingest(tables, docs, Run(unit=240, group=1))
    return tables


def index(tables, reached=lambda _step: None, floor=0.0, tune=None, **options):
    encoder = Encoder(name="made", model="made-up", digest=tables.spec.digest)
    job = IndexJob(encoder=encoder, lake=Lake(uri=tables.lake.uri), index=Index(**options),
                   recall_floor=floor, tune=Tune(recall=tune))  # fmt: skip
    return indexing.run(job, reached)


def newest(tables):
    folder, made = manifest.newest(storage.join(tables.uri, "indexes"))
    return made, build.load(manifest.read_index_bytes(folder, made))


def assert_holds_the_table(tables):
    """The newest index has every id of pooled once, and finds each vector under its own id."""
    made, held = newest(tables)
    rows = rows_of(tables, schema.POOLED)
    ids = [row["segment_id"] for row in rows]
    assert sorted(refresh.ids_of(held).tolist()) == sorted(ids)
    assert (made.vectors, held.ntotal) == (len(ids), len(ids))
    assert made.built_from.version == layout.snapshot(tables).pooled.version()
    vectors = np.array([row["pooled"] for row in rows], np.float32)
    params = build.search_parameters(held, build.lists_of(made.factory))
    best = held.search(vectors, min(40, len(ids)), params=params)[1]
    assert np.mean([own in found for own, found in zip(ids, best, strict=True)]) > 0.99


def test_what_is_new_is_added_and_what_is_gone_removed(tmp_path):
    tables = make_lake(tmp_path, DOCS)
    first = index(tables)
    assert (first["action"], first["vectors"]) == ("built", 1_200)
    assert first["factory"].startswith("IVF")
    assert index(tables) == {**first, "action": "unchanged"}
    ingest(tables, [*DOCS, *MORE], Run(unit=240, group=1))
    grown = index(tables)
    assert (grown["action"], grown["added"], grown["removed"], grown["vectors"]) == ("updated", 180, 0, 1_380)
    assert_holds_the_table(tables)
    ingest(tables, [Doc("doc0", "v2", "g" * 30)], Run(unit=240, group=1))
    changed = index(tables)
    assert (changed["action"], changed["added"], changed["removed"]) == ("updated", 30, 60)
    assert_holds_the_table(tables)
    made, _ = newest(tables)
    assert (made.training.vectors, made.training.added, made.training.removed) == (1_200, 210, 60)
    assert made.training.added_misfit == pytest.approx(made.training.misfit, rel=0.2)


def test_compaction_changes_nothing_but_the_version(tmp_path):
    tables = make_lake(tmp_path, DOCS[:2], MORE)
    index(tables)
    before = newest(tables)[0]
    ingest(tables, [Doc("late", "v1", "ggg")])
    maintaining.run(Maintain(lake=Lake(uri=tables.lake.uri), retention_hours=0))
    assert len(data_files(tables, schema.POOLED)) == 1
    found = index(tables)
    assert (found["action"], found["added"], found["removed"]) == ("updated", 3, 0)
    maintaining.run(Maintain(lake=Lake(uri=tables.lake.uri), retention_hours=0))
    again = index(tables)
    assert (again["added"], again["removed"]) == (0, 0)
    assert newest(tables)[0].built_from.version > before.built_from.version
    assert_holds_the_table(tables)


def test_a_version_that_cannot_be_read_any_more_is_built_anew_and_said_so(tmp_path, capsys):
    tables = make_lake(tmp_path, DOCS[:3])
    index(tables)
    gone = data_files(tables, schema.POOLED)
    ingest(tables, [Doc(doc.uri, "v2", "ggg") for doc in DOCS[:3]])
    for path in gone:
        Path(path).unlink()
    with pytest.raises(JobError, match=r"rebuild=never: index .* cannot be kept: version \d+ of pooled"):
        index(tables, rebuild="never")
    assert index(tables)["action"] == "built"
    assert "cannot be read any more" in capsys.readouterr().err
    assert_holds_the_table(tables)


def test_a_rebuild_where_much_has_changed(tmp_path, capsys):
    tables = make_lake(tmp_path, DOCS)
    first = index(tables)
    ingest(tables, [*DOCS, *(Doc(f"new{n}", "v1", "g" * 60) for n in range(7))], Run(unit=240))
    kept = index(tables, rebuild="never")
    assert (kept["action"], kept["added"]) == ("updated", 420)
    assert "a rebuild would pay: 35% of its vectors came or went" in capsys.readouterr().err
    assert index(tables, factory=first["factory"])["action"] == "unchanged"
    assert index(tables, rebuild="always")["action"] == "built"
    assert newest(tables)[0].training.added == 0
    assert_holds_the_table(tables)


def test_below_the_floor_nothing_is_published_and_the_old_index_stays(tmp_path):
    tables = make_lake(tmp_path, DOCS)
    before = index(tables)["index_id"]
    with pytest.raises(JobError, match=r"recall_floor=0.95: stage one of IVF64,PQ1x4np passes on 0\.\d+ of the exact"):
        index(tables, factory="IVF64,PQ1x4np", nprobe=1, floor=0.95)
    assert newest(tables)[0].index_id == before


def test_tuning_reaches_what_was_asked(tmp_path):
    tables = make_lake(tmp_path, DOCS)
    index(tables, factory="IVF,SQ8", nprobe=1)
    found = index(tables, tune=0.97)
    assert found["action"] == "tuned"
    assert found["stage_one"]["stored"] >= 0.97
    assert index(tables)["nprobe"] == found["nprobe"]
    rebuilt = index(tables, factory="IVF,SQ8", rebuild="always")
    assert (rebuilt["action"], rebuilt["nprobe"], rebuilt["candidates"]) == (
        "built", found["nprobe"], found["candidates"]
    )  # fmt: skip
    made, held = newest(tables)
    rows = rows_of(tables, schema.POOLED)
    vectors = np.array([row["pooled"] for row in rows], np.float32)
    ids = np.array([row["segment_id"] for row in rows])
    exact = ids[np.argsort(-(vectors[:150] @ vectors.T), axis=1)[:, 1:11]]
    params = build.search_parameters(held, made.nprobe)
    best = held.search(vectors[:150], made.candidates + 1, params=params)[1]
    assert np.mean([len(set(e) & set(b)) / 10 for e, b in zip(exact, best, strict=True)]) > 0.94


def test_what_tuning_cannot_reach_is_said(tmp_path):
    tables = make_lake(tmp_path, [Doc(f"doc{number}", "v1", "g" * 60) for number in range(40)])
    with pytest.raises(JobError, match=r"tune.recall=1.0: IVF4,PQ1x4np reaches 0\.\d+ at most"):
        index(tables, factory="IVF4,PQ1x4np", tune=1.0)
    assert manifest.newest(storage.join(tables.uri, "indexes")) is None


def test_real_queries_and_filters_are_measured_too(tmp_path):
    tables = make_lake(tmp_path, DOCS[:5])
    inner, text = make_tables(tmp_path / "evaluation", dim=DIM), "where are the rivers"
    committer = make_committer(inner)
    committer.add(make_receipt(inner, [make_segment(query_rows.uri(text, "", "query"), "v", 0, 1, text)]))
    committer.commit()
    assert index(tables)["stage_one"] == {
        "stored": 1.0, "evaluation": 1.0, "stored, 50% pass a filter": 1.0, "stored, 5% pass a filter": 1.0
    }  # fmt: skip


def test_another_way_of_searching_is_measured_anew(tmp_path):
    tables = make_lake(tmp_path, DOCS)
    first = index(tables, factory="IVF,RaBitQ")
    assert (first["factory"], first["recall_at_10"] < 0.9) == ("IVF16,RaBitQ", True)
    exact = index(tables, factory="IVF,RaBitQ", rerank=True)
    assert (exact["action"], exact["added"], exact["recall_at_10"] > first["recall_at_10"]) == ("updated", 0, True)
    assert newest(tables)[0].rerank
    assert index(tables, factory="IVF,RaBitQ", rerank=True)["action"] == "unchanged"
    narrow = index(tables, factory="IVF,RaBitQ", nprobe=1)
    assert (narrow["nprobe"], narrow["stage_one"]["stored"]) < (2, exact["stage_one"]["stored"])


def test_a_kind_that_cannot_be_changed_is_built_anew(tmp_path, capsys):
    tables = make_lake(tmp_path, DOCS)
    index(tables, factory="IVF16,PQ8x4fs")
    ingest(tables, MORE[:1], Run(unit=240))
    assert index(tables)["action"] == "built"
    assert "vectors cannot be taken out of IVF16,PQ8x4fs" in capsys.readouterr().err
    assert_holds_the_table(tables)


def test_a_vector_that_is_not_of_norm_1_is_refused_by_its_id(tmp_path):
    tables = make_lake(tmp_path, DOCS[:2])
    index(tables)
    ingest(tables, MORE[:1], Run(unit=240))
    [path] = [path for path in data_files(tables, schema.POOLED) if "more0" in str(pq.read_table(path)["uri"][0])]
    rows = pq.read_table(path).select(schema.POOLED.columns.names).cast(schema.POOLED.columns).to_pylist()
    rows[3]["pooled"][0] += 1.0
    replace_file(tables, schema.POOLED, path, pa.Table.from_pylist(rows, schema=schema.POOLED.columns))
    for options in ({}, {"rebuild": "always"}):
        with pytest.raises(JobError, match=f"index: the vector of id {rows[3]['segment_id']} has norm"):
            index(tables, **options)


def test_what_a_dry_run_says(tmp_path):
    tables = make_lake(tmp_path, DOCS[:2])
    job = IndexJob(encoder=Encoder(name="made", model="m", digest=tables.spec.digest), lake=Lake(uri=tables.lake.uri))
    first = indexing.dry_run(job)
    assert (first["vectors"], first["rebuild"]) == (120, "there is no index")
    index(tables)
    ingest(tables, MORE[:1], Run(unit=240))
    then = indexing.dry_run(job)
    assert (then["vectors"], then["rebuild"], then["added"], then["removed"]) == (180, None, 60, 0)
    assert len(manifest_folders(tables)) == 1


def manifest_folders(tables):
    return [uri for uri, _ in storage.list_files(f"{tables.uri}/indexes") if uri.endswith(manifest.MANIFEST)]


class Killed(BaseException):
    """Passes every `except Exception`, as a kill does."""


def killer(step):
    def reached(name):
        if name == step:
            raise Killed(name)

    return reached


@pytest.mark.parametrize("step", ["trained", "part 0", "merged", "published"])
def test_a_killed_job_leaves_the_old_index_or_the_new(tmp_path, step):
    tables = make_lake(tmp_path, DOCS[:4])
    index(tables)
    before = newest(tables)[0]
    with pytest.raises(Killed):
        index(tables, killer(step), rebuild="always")
    assert (newest(tables)[0] == before) == (step != "published")
    index(tables, rebuild="always")
    assert_holds_the_table(tables)
    assert not [uri for uri, _ in storage.list_files(f"{tables.uri}/indexes") if "building" in uri]


def test_a_damaged_index_file_is_built_anew(tmp_path):
    tables = make_lake(tmp_path, DOCS[:2])
    made = index(tables)
    Path(f"{tables.uri}/indexes/{made['index_id']}/index.faiss").write_bytes(b"damaged")
    ingest(tables, MORE[:1])
    assert index(tables)["action"] == "built"
    assert_holds_the_table(tables)


def test_an_index_of_an_older_release_is_built_anew(tmp_path):
    tables = make_lake(tmp_path, DOCS[:2])
    made = index(tables)
    path = Path(f"{tables.uri}/indexes/{made['index_id']}/manifest.json")
    content = json.loads(path.read_text())
    path.write_text(json.dumps({name: value for name, value in content.items() if name != "training"}))
    ingest(tables, MORE[:1])
    assert index(tables)["action"] == "built"
