"""`smart-jobs sql` on lakes made by hand: what is asked, what comes out, and what is refused."""

import base64
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from lake_making import Doc, Run, embed, make_segment, make_tables, rows_of

from smart_jobs import cli, config, schema, storage
from smart_jobs.flow import sql
from smart_jobs.lake import layout, table
from smart_jobs.records import JobError, UsageError
from smart_jobs.settings import Sql

DOCS = [Doc(f"u{i}", "v1", "ggg") for i in range(4)] + [Doc("bad", "v1", "gb"), Doc("dam", "v1", "")]


@pytest.fixture
def tables(tmp_path):
    made = make_tables(tmp_path / "lake")
    Run(unit=2).ingest(made, DOCS, 1)
    return made


def ask(tables, *words):
    return sql.run(config.load(Sql, "sql", [*words, f"lake={tables.lake.uri}"]))


def query(tables, text, *words):
    return ask(tables, f"query={text}", *words)


# Queries


def test_a_query_gives_columns_rows_and_their_count(tables):
    result = query(tables, "SELECT reason, count(*) AS n FROM failures GROUP BY reason ORDER BY reason")
    rows = [{"reason": "damaged", "n": 1}, {"reason": "not_finite", "n": 1}]
    assert result == {"columns": ["reason", "n"], "rows": rows, "count": 2}


def test_every_shared_table_has_its_name(tables):
    for kind in schema.LAKE_TABLES:
        assert query(tables, f"SELECT * FROM {kind.name}")["columns"] == kind.columns.names
        assert query(tables, f"SELECT count(*) AS n FROM {kind.name}")["rows"] == [{"n": len(rows_of(tables, kind))}]
    listed = query(tables, "SHOW TABLES", "limit=null")["rows"]
    names = {row["table_name"] for row in listed if row["table_schema"] == "public"}
    assert names == {kind.name for kind in (*schema.LAKE_TABLES, *schema.ENCODER_TABLES)}


def test_rows_beyond_the_limit_are_counted(tables):
    result = query(tables, "SELECT uri FROM pooled", "limit=2")
    assert (len(result["rows"]), result["count"]) == (2, 13)
    assert len(query(tables, "SELECT uri FROM pooled", "limit=null")["rows"]) == 13
    many = query(tables, "SELECT a.uri FROM pooled a, pooled b, pooled c, pooled d", "limit=9000")
    assert (len(many["rows"]), many["count"]) == (9000, 13**4)


def test_values_are_what_json_can_hold(tables):
    [row] = query(tables, "SELECT * FROM pooled WHERE uri = 'u0' AND ordinal = 0")["rows"]
    [stored] = [r for r in rows_of(tables, schema.POOLED) if (r["uri"], r["ordinal"]) == ("u0", 0)]
    assert row["segment_id"] == str(stored["segment_id"])
    assert (row["pooled"], row["meta"], row["page"]) == (stored["pooled"], {"tenant": "x"}, None)
    assert row["encoded_at"] == stored["encoded_at"].isoformat()
    assert json.loads(json.dumps(row, allow_nan=False)) == row
    odd = query(tables, "SELECT CAST('NaN' AS double) AS a, [CAST('Infinity' AS double), 1.5] AS b, 7 AS c")["rows"]
    assert odd == [{"a": None, "b": [None, 1.5], "c": 7}]


def test_bytes_are_base64(tables):
    segment = make_segment("u0", "v1", 0, 3)
    [row] = query(tables, f"SELECT states FROM hidden_states WHERE segment_id = {segment.segment_id}")["rows"]
    values = np.frombuffer(base64.b64decode(row["states"]), "<f4")
    assert values.tobytes() == embed(segment).states.tobytes()


def test_columns_of_one_name_are_told_apart(tables):
    result = query(tables, "SELECT a.uri, b.uri, 1 AS uri_2 FROM pooled a JOIN pooled b ON a.segment_id = b.segment_id")
    assert result["columns"] == ["uri", "uri_2", "uri_2_2"]
    assert [row["uri"] == row["uri_2"] and row["uri_2_2"] == 1 for row in result["rows"]] == [True] * 13


def test_metadata_is_filtered_by_its_key(tables):
    assert query(tables, "SELECT uri FROM pooled WHERE meta['tenant'] = 'x'")["count"] == 13
    assert query(tables, "SELECT uri FROM pooled WHERE meta['tenant'] = 'y'") == {
        "columns": ["uri"], "rows": [], "count": 0}  # fmt: skip


def test_states_are_those_that_pooled_names(tables):
    """A commit to hidden_states that pooled does not know of, as a killed run leaves it, is not seen."""
    before = query(tables, "SELECT segment_id FROM hidden_states")["count"]
    states = table.open_table(tables.table_uri(schema.HIDDEN_STATES))
    row = {"segment_id": 1, "n_tokens": 1, "dim": 4, "codec": "float32", "states": bytes(16)}
    rows = pa.Table.from_pylist([row], schema=schema.HIDDEN_STATES.columns)
    file = table.write_file(tables.table_uri(schema.HIDDEN_STATES), schema.HIDDEN_STATES, rows)
    table.commit(states, table.Change([file], [], {"killed": 1}, {}))
    assert DeltaTable(tables.table_uri(schema.HIDDEN_STATES)).count() == before + 1
    assert query(tables, "SELECT segment_id FROM hidden_states")["count"] == before == 13


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "SELECT * FROM nothing",
            r"^sql: .*table 'datafusion.public.nothing' not found; tables are assets, eval.*runs$",
        ),
        ("SELECT urj FROM pooled", r"^sql: .*No field named urj.*"),
        ("SELECT", r"^sql: "),
        ("SELECT CAST(uri AS int) FROM pooled", r"^sql: .*Cannot cast string '\w+' to value of Int32 type$"),
        ("SELECT 1; SELECT 2", r"^sql: .*only supports a single SQL statement$"),
        ("WITH x AS (SELECT 1) INSERT INTO pooled SELECT * FROM pooled", "^sql: .*not implemented"),
    ],
)
def test_a_wrong_query_is_one_line_in_datafusions_words(tables, text, said):
    with pytest.raises(JobError, match=said) as error:
        query(tables, text)
    assert "\n" not in str(error.value)


WRITING = ["DROP TABLE pooled", "COPY pooled TO '{out}'", "SET datafusion.execution.batch_size = 1", "SELECTED", "(",
           "INSERT INTO pooled SELECT * FROM pooled", "EXPLAIN ANALYZE COPY pooled TO '{out}'", "", "-- SELECT",
           "explain analyze verbose\ncopy pooled to '{out}'", "/* SELECT */ COPY pooled TO '{out}'",
           "--SELECT\nCOPY pooled TO '{out}'", "EXPLAIN/**/ANALYZE COPY pooled TO '{out}'"]  # fmt: skip


@pytest.mark.parametrize("text", WRITING)
def test_only_statements_that_read_are_run(tables, tmp_path, text):
    with pytest.raises(UsageError, match="sql only reads"):
        query(tables, text.format(out=tmp_path / "out.parquet"))
    assert not (tmp_path / "out.parquet").exists()


@pytest.mark.parametrize("text", ["\n select 1 AS a", "(SELECT 1 AS a)", "-- why\n/* and\nhow */ SELECT 1 AS a",
                                  "with x as (select 1 as a) select a from x"])  # fmt: skip
def test_a_reading_statement_is_known_however_it_is_written(tables, text):
    assert query(tables, text)["rows"] == [{"a": 1}]


def test_values_describe_and_explain_read_too(tables):
    assert query(tables, "VALUES (1), (2)")["count"] == 2
    described = query(tables, "DESCRIBE pooled")["rows"]
    assert [row["column_name"] for row in described] == schema.POOLED.columns.names
    assert query(tables, "EXPLAIN ANALYZE SELECT uri FROM pooled")["count"] == 1


def test_a_dry_run_is_the_plan(tables):
    for text in ("SELECT uri FROM pooled WHERE ordinal = 1", "EXPLAIN SELECT uri FROM pooled WHERE ordinal = 1"):
        plan = sql.dry_run(config.load(Sql, "sql", [f"query={text}", f"lake={tables.lake.uri}"]))
        assert plan["dry_run"] is True
        assert "Filter: pooled.ordinal = Int32(1)" in plan["logical_plan"]


def test_a_table_that_no_query_asks_for_is_not_opened(tables):
    storage.filesystem(tables.lake.uri)[0].delete_dir(tables.lake.table_uri(schema.ASSETS))
    assert query(tables, "SELECT uri FROM pooled")["count"] == 13
    with pytest.raises(JobError, match="assets: the table is missing"):
        query(tables, "SELECT uri FROM assets")


def test_a_command_line_prints_a_table_or_one_json_object(tables, capfd):
    words = ["sql", "SELECT uri, ordinal FROM pooled ORDER BY uri, ordinal", f"lake={tables.lake.uri}", "limit=2"]
    assert cli.main(words) == cli.DONE
    assert capfd.readouterr().out.splitlines() == [
        "uri  ordinal",
        "---  -------",
        "bad        0",
        "u0         0",
        "2 of 13 rows; limit= prints more",
    ]
    assert cli.main([*words, "--json"]) == cli.DONE
    rows = [{"uri": "bad", "ordinal": 0}, {"uri": "u0", "ordinal": 0}]
    assert json.loads(capfd.readouterr().out) == {"columns": ["uri", "ordinal"], "rows": rows, "count": 13}


# Several encoders, and the evaluation's own lake


def test_several_encoders_have_long_names_and_can_be_joined(tables):
    other = make_tables(tables.lake.uri, name="Second.One", dim=6)
    Run(unit=9).ingest(other, DOCS[:2], 1)
    mine, theirs = f"pooled_made_{tables.spec.digest}", f"pooled_second_one_{other.spec.digest}"
    joined = f"SELECT count(*) AS n FROM {mine} a JOIN {theirs} b ON a.segment_id = b.segment_id"
    assert query(tables, joined)["rows"] == [{"n": 6}]
    with pytest.raises(JobError, match=rf"'datafusion.public.pooled' not found; tables are .*{mine}, {theirs}"):
        query(tables, "SELECT * FROM pooled")
    for encoder in ("Second.One", other.spec.full_name):
        assert query(tables, "SELECT uri FROM pooled", f"encoder={encoder}")["count"] == 6
    with pytest.raises(JobError, match=f"minilm names 0 encoders; encoders there: .*{tables.spec.full_name}"):
        query(tables, "SELECT 1", "encoder=minilm")
    listed = [row["table_name"] for row in query(tables, "SHOW TABLES", "limit=null")["rows"]]
    assert len(listed) == len(set(listed))


def test_two_encoders_of_one_name_need_the_full_one(tables):
    make_tables(tables.lake.uri, revision="r2")
    with pytest.raises(JobError, match=r"made names 2 encoders; encoders there: made-.*, made-"):
        query(tables, "SELECT 1", "encoder=made")
    with pytest.raises(JobError, match=r"one of its encoders has to be named; encoders there: made-.*, made-"):
        ask(tables, "analysis=near_duplicates")
    assert query(tables, "SELECT uri FROM pooled", f"encoder={tables.spec.full_name}")["count"] == 13


def test_what_an_evaluation_encoded_can_be_asked(tables):
    inner = make_tables(Path(tables.lake.uri, "evaluation"))
    Run().ingest(inner, DOCS[:1], 1)
    assert query(tables, "SELECT uri FROM evaluation_pooled")["count"] == 3
    assert query(tables, "SELECT uri FROM evaluation_hidden_states JOIN evaluation_pooled USING (segment_id)")["count"]
    make_tables(tables.lake.uri, name="other", dim=6)
    with pytest.raises(JobError, match=r"evaluation_pooled' not found; tables are .*"):
        query(tables, "SELECT uri FROM evaluation_pooled", "encoder=other")


def test_a_lake_without_encoders_has_its_shared_tables(tmp_path):
    lake = layout.create_lake(str(tmp_path))
    job = Sql(lake={"uri": lake.uri}, query="SELECT count(*) AS n FROM runs")
    assert sql.run(job)["rows"] == [{"n": 0}]
    with pytest.raises(JobError, match="encoders there: none"):
        sql.run(Sql(lake={"uri": lake.uri}, analysis="near_duplicates"))
