"""Queries as they come from their table: in parts, known again by a digest, refused where they are none."""

import pyarrow as pa
import pytest
from asking import ask, questions
from deltalake import write_deltalake
from lake_making import make_spec

from smart_jobs import config
from smart_jobs.flow import batch_queries
from smart_jobs.records import JobError, UsageError
from smart_jobs.settings import Search

ASKED = questions(25)


def job(queries, *keys) -> Search:
    return config.load(Search, "search", [f"queries={queries}", "out=./out", *keys])


@pytest.fixture(params=["parquet", "jsonl", "delta"])
def table(tmp_path, request):
    if request.param == "delta":
        write_deltalake(str(tmp_path / "asked"), pa.Table.from_pylist(ASKED))
        return tmp_path / "asked"
    return ask(tmp_path / f"asked.{request.param}", ASKED)


def test_every_query_is_in_one_part_in_the_order_of_the_table(table):
    parts = list(batch_queries.parts(job(table, "part_queries=10")))
    assert [(part.number, len(part.queries)) for part in parts] == [(0, 10), (1, 10), (2, 5)]
    asked = [(name, query.text, query.side) for part in parts
             for name, query in zip(part.names, part.queries, strict=True)]  # fmt: skip
    assert asked == [(row["id"], row["text"], "query") for row in ASKED]


def test_other_columns_and_rows_without_an_id(tmp_path):
    named = ask(tmp_path / "a.parquet", [{"qid": 7, "question": "who", "more": 1}])
    [part] = batch_queries.parts(job(named, "columns.id=qid", "columns.text=question"))
    assert (part.names, part.queries[0].text) == (("7",), "who")
    unnamed = ask(tmp_path / "b.jsonl", [{"text": "who"}, {"text": "what"}])
    [part] = batch_queries.parts(job(unnamed))
    assert part.names == ("0", "1")


def test_the_digest_is_that_of_what_is_asked_not_of_where_it_lies(tmp_path):
    first = batch_queries.listed(job(ask(tmp_path / "a.parquet", ASKED)))
    assert batch_queries.listed(job(ask(tmp_path / "b.jsonl", ASKED))) == first
    for change in ({"text": "another"}, {"id": "another"}):
        other = [*ASKED[:-1], {**ASKED[-1], **change}]
        assert batch_queries.listed(job(ask(tmp_path / "c.parquet", other))).digest != first.digest
    turned = batch_queries.listed(job(ask(tmp_path / "d.parquet", ASKED[::-1])))
    assert (turned.count, turned.digest != first.digest) == (first.count, True)


def test_a_picture_that_is_replaced_is_another_query(tmp_path):
    (tmp_path / "a.png").write_bytes(b"one")
    table = ask(tmp_path / "a.jsonl", [{"id": "a", "image": "a.png"}])
    first = batch_queries.listed(job(table, "columns.image=image"))
    (tmp_path / "a.png").write_bytes(b"other")
    assert batch_queries.listed(job(table, "columns.image=image")).digest != first.digest


def test_a_table_that_changes_while_it_is_read_is_noticed(tmp_path):
    table = ask(tmp_path / "a.parquet", ASKED)
    asked = job(table, "part_queries=10")
    known = batch_queries.listed(asked)
    assert [part.number for part in batch_queries.same(asked, known)] == [0, 1, 2]
    for rows in (ASKED[:15], [*ASKED, {"id": "late", "text": "too"}], [*ASKED[:20], *ASKED[21:], ASKED[20]]):
        ask(table, rows)
        with pytest.raises(JobError, match="changed while it was read"):
            list(batch_queries.same(asked, known))


@pytest.mark.parametrize(
    ("name", "rows", "said"),
    [
        ("none.parquet", [], "there are none in it"),
        ("twice.jsonl", [{"id": 1, "text": "a"}, {"id": 1, "text": "b"}], "columns.id must be unique"),
        ("other.parquet", [{"id": 1, "body": "a"}], "no column 'text' for text; it has id, body"),
        ("other.jsonl", [{"id": 1, "body": "a"}], "line 1: expected an object with 'text'"),
    ],
)
def test_what_is_wrong_with_a_table_is_one_line(tmp_path, name, rows, said):
    with pytest.raises(UsageError) as error:
        batch_queries.listed(job(ask(tmp_path / name, rows) if rows else empty(tmp_path / name)))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def empty(path):
    pa.parquet.write_table(pa.table({"id": pa.array([], pa.string()), "text": pa.array([], pa.string())}), path)
    return path


def test_what_is_no_table_is_refused_by_its_name(tmp_path):
    (tmp_path / "asked.txt").write_text("who")
    with pytest.raises(UsageError, match=r"queries=.*asked\.txt: expected a Parquet, JSONL or Delta table"):
        batch_queries.listed(job(tmp_path / "asked.txt"))
    (tmp_path / "suite").mkdir()
    (tmp_path / "suite" / "corpus.jsonl").write_text('{"_id": "d", "text": "a document"}\n')
    with pytest.raises(UsageError, match="expected a Parquet, JSONL or Delta table, found"):
        batch_queries.listed(job(tmp_path / "suite"))
    with pytest.raises(UsageError, match="nothing there"):
        batch_queries.listed(job(tmp_path / "nowhere.parquet"))


def test_pictures_for_an_encoder_that_reads_text_alone_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"columns\.video=clip: encoder made reads text alone"):
        batch_queries.check(job(tmp_path / "a.jsonl", "columns.video=clip"), make_spec())
    batch_queries.check(job(tmp_path / "a.jsonl"), make_spec())
