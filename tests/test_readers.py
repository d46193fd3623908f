"""Anyone's tools read the lake: what docs/lake.md says is run, and no tool loses rows when it filters."""

import re
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import pandas
import polars
import pyarrow as pa
import pytest
from deltalake import DeltaTable, QueryBuilder
from lake_making import Doc, Run, make_tables, rows_of

from smart_jobs import schema
from smart_jobs.flow import sql
from smart_jobs.lake import catalog, layout, lease

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "lake.md").read_text()
DOCS = [Doc(f"/in/file{i:03d}.txt", "v1", "gbgg"[: 1 + i % 4]) for i in range(9)] + [Doc("/in/bad.pdf", "v1", "")]
KINDS = [*schema.LAKE_TABLES, *schema.ENCODER_TABLES]


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """A lake of several commits, so that files hold only nulls, or one value, of a column."""
    made = make_tables(tmp_path_factory.mktemp("readers") / "lake", codec="int8")
    with lease.hold(made, "ingest", 0):
        Run(unit=2).ingest(made, DOCS[:6], 1)
    with lease.hold(made, "ingest", 0):
        Run(unit=3).ingest(made, DOCS, 2)
    other = make_tables(made.lake.uri, name="other", dim=6)
    Run(unit=9).ingest(other, DOCS[:3], 1)
    return made


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


# What docs/lake.md says


def test_the_page_describes_the_tables_as_they_are():
    done = subprocess.run(
        [sys.executable, "-c", "import generate; print(generate.page(generate.PAGE.read_text()), end='')"],
        capture_output=True,
        text=True,
        cwd=ROOT / "docs",
        env={"PYTHONPATH": str(ROOT)},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == PAGE, "run `make docs`"


@pytest.mark.parametrize("kind", [*KINDS, *schema.SEARCH_FILES], ids=lambda kind: kind.name)
def test_every_column_has_a_meaning_and_a_line(kind):
    section = PAGE.split(f"### {kind.name}\n")[1].split("###")[0]
    lines = re.findall(r"^\| `(\w+)` \| (\S.*?) \| (yes|) \| (\S.*) \|$", section, re.MULTILINE)
    assert [name for name, *_ in lines] == kind.columns.names
    assert [null == "yes" for *_, null, _ in lines] == [field.nullable for field in kind.columns]


@pytest.mark.parametrize("code", blocks("python"), ids=lambda code: code.splitlines()[0])
def test_the_python_of_the_page_runs(tables, monkeypatch, capsys, code):
    monkeypatch.chdir(Path(tables.lake.uri).parent)
    exec(compile(code, "docs/lake.md", "exec"), {"encoder": tables.spec.full_name})
    assert capsys.readouterr().out.strip()


def test_the_page_has_a_snippet_for_each_tool():
    assert [tool for tool in ("pandas", "duckdb", "polars", "codec") if tool not in "".join(blocks("python"))] == []


@pytest.mark.parametrize("query", blocks("sql"), ids=lambda query: query.split()[1])
def test_the_sql_of_the_page_runs(tables, query):
    other = other_encoder(tables)
    query = query.replace("tiny_0123456789ab", tables.spec.full_name.replace("-", "_"))
    query = query.replace("other_ba9876543210", other.spec.full_name.replace("-", "_"))
    result = sql.ask(catalog.of(tables.lake, "made"), query, None)
    assert result["rows"]
    if "cosine_distance" in query:
        assert [row["cosine"] for row in result["rows"]] == pytest.approx(nearest(tables), abs=1e-6)
    else:
        mine, theirs = (len(rows_of(side, schema.POOLED)) for side in (tables, other))
        assert result["rows"] == [{"missing": mine - theirs}]


def nearest(tables):
    rows = rows_of(tables, schema.POOLED)
    [here] = [row for row in rows if row["uri"] == "/in/file000.txt"]
    cosines = [np.dot(here["pooled"], row["pooled"]) for row in rows if row["segment_id"] != here["segment_id"]]
    return sorted(cosines, reverse=True)[:3]


def other_encoder(tables):
    [name] = set(layout.encoders(tables.lake)) - {tables.spec.full_name}
    return layout.open_encoder(tables.lake, name)


def test_the_query_verbs_of_the_page_run(tables):
    queries = re.findall(r'^    smart-jobs sql "(.*?)" lake', PAGE, re.MULTILINE)
    assert len(queries) == 3
    for query in queries:
        assert sql.ask(catalog.of(tables.lake, "made"), query, None)["rows"]


# Every row, whoever reads it


def by_datafusion(uri, where):
    return pa.table(QueryBuilder().register("t", DeltaTable(uri)).execute(f"SELECT * FROM t WHERE {where}").read_all())


def by_duckdb(uri, where):
    return in_duckdb(uri).sql(f"SELECT * FROM t WHERE {where}").to_arrow_table()


def in_duckdb(uri):
    return duckdb.connect().register("t", DeltaTable(uri).to_pyarrow_dataset())


def by_polars(uri, where):
    return polars.SQLContext(t=polars.scan_delta(uri)).execute(f"SELECT * FROM t WHERE {where}", eager=True).to_arrow()


READERS = {"datafusion": by_datafusion, "duckdb": by_duckdb, "polars": by_polars}

FILTERS = {
    "failures": {
        "1 = 1": lambda _: True,
        "reason = 'damaged'": lambda row: row["reason"] == "damaged",
        "spec IS NULL": lambda row: row["spec"] is None,
        "ordinal IS NOT NULL": lambda row: row["ordinal"] is not None,
        "ordinal = 1 AND uri > '/in/file002.txt'": lambda row: row["ordinal"] == 1 and row["uri"] > "/in/file002.txt",
    },
    "pooled": {
        "1 = 1": lambda _: True,
        "uri = '/in/file007.txt'": lambda row: row["uri"] == "/in/file007.txt",
        "page IS NULL": lambda _: True,
        "ordinal >= 1 AND n_tokens < 3": lambda row: row["ordinal"] >= 1 and row["n_tokens"] < 3,
        "run_id <> 'run-1'": lambda row: row["run_id"] != "run-1",
    },
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(("name", "where"), [(name, where) for name, wheres in FILTERS.items() for where in wheres])
def test_a_filter_loses_no_rows_in_any_tool(tables, reader, name, where):
    kind = {"failures": schema.FAILURES, "pooled": schema.POOLED}[name]
    wanted = [row for row in rows_of(tables, kind) if FILTERS[name][where](row)]
    assert wanted
    found = READERS[reader](tables.table_uri(kind), where)
    columns = ["uri", "ordinal", "version", "run_id"]
    assert sorted(map(str, found.select(columns).to_pylist())) == sorted(
        str({column: row[column] for column in columns}) for row in wanted
    )


def test_a_filter_loses_no_rows_in_deltalake(tables):
    uri, rows = tables.table_uri(schema.POOLED), rows_of(tables, schema.POOLED)
    for name, value in (("uri", "/in/file007.txt"), ("ordinal", 2), ("run_id", "run-2"), ("n_tokens", 2)):
        found = DeltaTable(uri).to_pandas(filters=[(name, "=", value)])
        assert 0 < len(found) == sum(row[name] == value for row in rows)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_table_opens_whole_in_pandas_and_polars(tables, kind):
    uri, rows = tables.table_uri(kind), rows_of(tables, kind)
    frame = DeltaTable(uri).to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    for found in (frame, polars.read_delta(uri)):
        assert (list(found.columns), len(found)) == (kind.columns.names, len(rows))


def test_vectors_and_metadata_come_through_every_tool(tables):
    uri = tables.table_uri(schema.POOLED)
    wanted = {row["segment_id"]: row["pooled"] for row in rows_of(tables, schema.POOLED)}
    frame = DeltaTable(uri).to_pandas()
    assert dict(zip(frame["segment_id"], map(list, frame["pooled"]), strict=True)) == wanted
    lazy = polars.scan_delta(uri).select("segment_id", "pooled").collect()
    assert dict(lazy.iter_rows()) == wanted
    assert in_duckdb(uri).execute("SELECT DISTINCT meta['tenant'] FROM t").fetchall() == [("x",)]
    assert dict(in_duckdb(uri).execute("SELECT segment_id, pooled FROM t").fetchall()) == wanted
