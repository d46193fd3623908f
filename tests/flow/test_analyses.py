"""The shipped analyses against answers by hand, over lakes whose vectors are known."""

from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest
from lake_making import Doc, Run, make_tables, rows_of

from smart_jobs import config, schema
from smart_jobs.flow import sql
from smart_jobs.lake import layout, table
from smart_jobs.records import JobError
from smart_jobs.settings import Sql

DOCS = [Doc(f"u{i}", "v1", "ggg") for i in range(6)] + [Doc("bad", "v1", "gb")]


@pytest.fixture
def tables(tmp_path):
    made = make_tables(tmp_path / "lake")
    Run(unit=4).ingest(made, DOCS, 1)
    return made


def job(tables, *words):
    return config.load(Sql, "sql", [*words, f"lake={tables.lake.uri}"])


def run(tables, *words):
    return sql.run(job(tables, *words))


def by_uri(tables):
    return {(row["uri"], row["ordinal"]): row for row in rows_of(tables, schema.POOLED)}


def cosine(one, other):
    return float(np.dot(np.float64(one["pooled"]), np.float64(other["pooled"])))


def rewrite(tables, changed, without=()):
    """One commit to pooled that replaces all files: `changed` has new vectors by (uri, ordinal)."""
    handle = table.open_table(tables.table_uri(schema.POOLED))
    rows = [
        {**row, "pooled": changed.get(key, row["pooled"])} for key, row in by_uri(tables).items() if key not in without
    ]
    made = pa.Table.from_pylist(rows, schema=schema.POOLED.columns)
    file = table.write_file(tables.table_uri(schema.POOLED), schema.POOLED, made)
    named = {"hidden_states_version": str(layout.snapshot(tables).hidden_states.version())}
    table.commit(handle, table.Change([file], list(table.files_of(handle)), {"by hand": 1}, named))
    return handle.version()


# Near-duplicates


@pytest.mark.parametrize("same", ["true", "false"])
def test_near_duplicates_are_the_pairs_above_the_cosine(tables, same):
    result = run(tables, "analysis=near_duplicates", "cosine=0.6", f"same_asset={same}")
    wanted = {
        frozenset([one, other]): cosine(left, right)
        for (one, left), (other, right) in combinations(by_uri(tables).items(), 2)
        if cosine(left, right) >= 0.6 and (same == "true" or one[0] != other[0])
    }
    found = {
        frozenset([(row["uri"], row["ordinal"]), (row["other_uri"], row["other_ordinal"])]): row["cosine"]
        for row in result["rows"]
    }
    assert wanted
    assert found == pytest.approx(wanted, abs=2e-6)
    assert result["count"] == len(result["rows"]) == len(wanted)
    assert [row["cosine"] for row in result["rows"]] == sorted(found.values(), reverse=True)
    assert (result["segments"], result["cosine"], result["encoder"]) == (19, 0.6, tables.spec.full_name)
    assert all(list(row) == result["columns"] for row in result["rows"])


def test_near_duplicates_beyond_the_limit_are_counted(tables):
    every = run(tables, "analysis=near_duplicates", "cosine=-0.5", "limit=null")
    few = run(tables, "analysis=near_duplicates", "cosine=-0.5", "limit=3")
    assert few["rows"] == every["rows"][:3]
    assert few["count"] == every["count"] == len(every["rows"]) > 100


def test_copies_in_two_assets_are_found_with_cosine_one(tables):
    vector = by_uri(tables)["u1", 2]["pooled"]
    rewrite(tables, {("u4", 0): vector, ("u1", 0): vector})
    rows = run(tables, "analysis=near_duplicates", "cosine=1")["rows"]
    places = [{(row["uri"], row["ordinal"]), (row["other_uri"], row["other_ordinal"])} for row in rows]
    assert sorted(map(sorted, places)) == [[("u1", 0), ("u4", 0)], [("u1", 2), ("u4", 0)]]


def test_an_empty_lake_has_no_duplicates(tmp_path):
    result = run(make_tables(tmp_path), "analysis=near_duplicates")
    assert (result["segments"], result["rows"], result["count"]) == (0, [], 0)


# Drift between versions


def test_a_table_that_only_grew_has_drifted_nowhere(tables):
    old = table.open_table(tables.table_uri(schema.POOLED)).version()
    Run().ingest(tables, [*DOCS, Doc("new", "v1", "gg")], 2)
    result = run(tables, "analysis=drift", f"other=version:{old}")
    counts = {name: result[name] for name in ("segments", "added", "removed", "kept", "changed", "least_cosine")}
    assert counts == {"segments": 21, "added": 2, "removed": 0, "kept": 19, "changed": 0, "least_cosine": 1.0}
    rows = {(row["change"], row["uri"], row["ordinal"], row["cosine"]) for row in result["rows"]}
    assert rows == {("added", "new", 0, None), ("added", "new", 1, None)}


def test_a_changed_asset_is_removed_and_added(tables):
    old = table.open_table(tables.table_uri(schema.POOLED)).version()
    Run().ingest(tables, [Doc("u0", "v2", "gg"), *DOCS[1:]], 2)
    result = run(tables, "analysis=drift", f"other=version:{old}")
    assert (result["added"], result["removed"], result["kept"], result["changed"]) == (2, 3, 16, 0)
    assert [row["change"] for row in result["rows"]] == ["removed"] * 3 + ["added"] * 2
    assert {row["uri"] for row in result["rows"]} == {"u0"}


def test_vectors_that_moved_come_first_the_farthest_on_top(tables):
    rows = by_uri(tables)
    old = table.open_table(tables.table_uri(schema.POOLED)).version()
    turned = {("u2", 1): rows["u3", 0]["pooled"], ("u5", 0): [-x for x in rows["u5", 0]["pooled"]]}
    rewrite(tables, turned, without=[("bad", 0)])
    result = run(tables, "analysis=drift", f"other=version:{old}")
    assert (result["changed"], result["removed"], result["count"]) == (2, 1, 3)
    assert result["least_cosine"] == pytest.approx(-1)
    found = [(row["change"], row["uri"], row["ordinal"], row["cosine"]) for row in result["rows"]]
    moved = pytest.approx(cosine(rows["u2", 1], rows["u3", 0]), abs=1e-6)
    assert found == [("changed", "u5", 0, -1.0), ("changed", "u2", 1, moved), ("removed", "bad", 0, None)]


def test_everything_came_since_the_empty_table(tables):
    result = run(tables, "analysis=drift", "other=version:0", "limit=4")
    assert (result["added"], result["kept"], result["least_cosine"]) == (19, 0, None)
    assert (len(result["rows"]), result["count"]) == (4, 19)


def test_a_version_that_is_not_there_is_one_line(tables):
    newest = table.open_table(tables.table_uri(schema.POOLED)).version()
    with pytest.raises(JobError, match=f"^other=version:{newest + 1}: pooled of .* is at version {newest}$"):
        run(tables, "analysis=drift", f"other=version:{newest + 1}")


# Drift between encoders


def test_encoders_are_compared_by_their_neighbours(tables):
    other = make_tables(tables.lake.uri, name="other", dim=6)
    Run(unit=9).ingest(other, [*DOCS[1:], Doc("elsewhere", "v1", "g")], 1)
    result = run(tables, "analysis=drift", "encoder=made", "other=other", "k=3", "limit=null")
    one, two = by_uri(tables), by_uri(other)
    common = sorted(one.keys() & two.keys())
    assert (result["segments"], result["sampled"], result["count"], len(common)) == (16, 16, 16, 16)

    def nearest(side, key):
        rest = [place for place in common if place != key]
        return sorted(rest, key=lambda place: -cosine(side[key], side[place]))[:3]

    wanted = {key: (nearest(one, key), nearest(two, key)) for key in common}
    for row in result["rows"]:
        left, right = wanted[row["uri"], row["ordinal"]]
        assert row["overlap"] == pytest.approx(len(set(left) & set(right)) / 3, abs=1e-6)
        assert (row["nearest"], row["other_nearest"]) == (left[0][0], right[0][0])
    overlaps = [row["overlap"] for row in result["rows"]]
    assert overlaps == sorted(overlaps)
    assert result["mean_overlap"] == pytest.approx(np.mean(overlaps), abs=1e-5)
    assert result["by_chance"] == pytest.approx(3 / 15)
    assert 0 < result["mean_overlap"] < 1


def test_an_encoder_with_the_same_vectors_has_not_drifted(tables):
    twin = make_tables(tables.lake.uri, name="twin", revision="r2")
    Run(unit=9).ingest(twin, DOCS, 1)
    result = run(tables, "analysis=drift", "encoder=made", "other=twin", "sample=5", "limit=2")
    assert (result["mean_overlap"], result["sampled"], result["count"], len(result["rows"])) == (1.0, 5, 5, 2)
    assert all(row["nearest"] == row["other_nearest"] for row in result["rows"])


def test_segments_that_were_cut_otherwise_are_not_compared(tables):
    other = make_tables(tables.lake.uri, name="other", dim=6)
    Run(unit=9).ingest(other, [Doc("u0", "v1", "ggg"), Doc("u1", "v1", "gg")], 1)
    assert run(tables, "analysis=drift", "encoder=made", "other=other")["segments"] == 3
    lone = make_tables(tables.lake.uri, name="lone", dim=5)
    with pytest.raises(JobError, match="have 0 segments in common; neighbours need two"):
        run(tables, "analysis=drift", "encoder=made", f"other={lone.spec.full_name}")


# What it costs


def test_the_arithmetic_is_said_before_the_work_and_by_a_dry_run(tables, capfd):
    run(tables, "analysis=near_duplicates")
    said = "sql: 19 segments, 304 bytes of vectors, 684 multiply-adds"
    assert said in capfd.readouterr().err
    dry = sql.dry_run(job(tables, "analysis=near_duplicates"))
    assert dry == {"dry_run": True, "segments": 19, "bytes_of_vectors": 19 * 4 * 4, "multiply_adds": 19 * 18 // 2 * 4}
    make_tables(tables.lake.uri, name="other", dim=6)
    dry = sql.dry_run(job(tables, "analysis=drift", "encoder=made", "other=other", "sample=5"))
    assert dry["multiply_adds"] == 5 * 19 * (4 + 6)
