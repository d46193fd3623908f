import json

import pytest
from fixtures import FIXTURES, needs_fixtures
from hypothesis import given
from hypothesis import strategies as st

from smart_jobs.evaluate.beir import Beir, Row, corpus, load
from smart_jobs.records import UsageError

QUERIES = [{"_id": "q2", "text": "second"}, {"_id": "q1", "text": "first"}, {"_id": "q3", "text": "unjudged"}]
QRELS = "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\nq2\td1\t0.5\n"
CORPUS = [{"_id": "d1", "title": "One", "text": "first text"}, {"_id": "d2", "text": "no title", "path": "a/b.jpg"}]


def jsonl(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "made-up"
    (root / "qrels").mkdir(parents=True)
    (root / "queries.jsonl").write_text(jsonl(QUERIES))
    (root / "qrels" / "test.tsv").write_text(QRELS)
    (root / "corpus.jsonl").write_text(jsonl(CORPUS))
    return root


def error(call, *args):
    with pytest.raises(UsageError) as raised:
        call(*args)
    message = str(raised.value)
    assert "\n" not in message
    return message


def test_load_keeps_judged_queries_in_the_files_order(folder):
    task = load(str(folder))
    assert task.name == "made-up"
    assert list(task.queries.items()) == [("q2", "second"), ("q1", "first")]
    assert task.qrels == {"q1": {"d1": 2.0, "d2": 0.0}, "q2": {"d1": 0.5}}
    assert task.corpus_uri == str(folder / "corpus.jsonl")


def test_load_by_another_uri_of_the_same_folder(folder):
    assert load(f"file://{folder}/") == load(str(folder))


def test_a_header_is_optional_and_blank_lines_are_nothing(folder):
    headless = "".join(QRELS.splitlines(keepends=True)[1:])
    expected = load(str(folder))
    for text in (headless, "\n" + QRELS + "\n\n", QRELS.replace("\n", "\r\n"), "\ufeff" + QRELS):
        (folder / "qrels" / "test.tsv").write_bytes(text.encode())
        assert load(str(folder)) == expected


def test_a_folder_without_a_corpus(folder):
    (folder / "corpus.jsonl").unlink()
    assert load(str(folder)).corpus_uri is None
    assert "no corpus.jsonl" in error(lambda: list(corpus(str(folder))))


def test_corpus_rows(folder):
    assert list(corpus(str(folder))) == [
        Row("d1", "One", "first text", {}),
        Row("d2", "", "no title", {"path": "a/b.jpg"}),
    ]


def test_further_columns_become_strings(folder):
    row = {"_id": 7, "title": None, "text": "t", "n": 3, "tags": ["ä", "b"], "none": None, "flag": True}
    (folder / "corpus.jsonl").write_text(jsonl([row]))
    assert list(corpus(str(folder))) == [Row("7", "", "t", {"n": "3", "tags": '["ä", "b"]', "flag": "true"})]


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(rows=st.lists(st.tuples(st.text("abc\u2028ä", min_size=1, max_size=5), texts, texts), max_size=8))
def test_what_was_written_is_read_back(tmp_path_factory, rows):
    root = tmp_path_factory.mktemp("any")
    written = jsonl({"_id": name, "title": title, "text": text} for name, title, text in rows)
    (root / "corpus.jsonl").write_bytes(written.encode())
    assert [(row.id, row.title, row.text) for row in corpus(str(root))] == rows


def test_what_is_missing_is_named(folder):
    assert f"no folder {folder}/nope" in error(load, f"{folder}/nope")
    (folder / "qrels" / "dev.tsv").write_text(QRELS)
    message = error(load, str(folder), "train")
    assert "no split 'train'" in message
    assert "dev, test" in message
    (folder / "queries.jsonl").unlink()
    assert "no queries.jsonl" in error(load, str(folder))


def test_a_folder_without_qrels_has_no_splits(tmp_path):
    assert "splits there: none" in error(load, str(tmp_path))


@pytest.mark.parametrize(
    ("line", "expected", "found"),
    [
        ("q1 d1 1", "separated by tabs", "'q1 d1 1'"),
        ("q1\t0\td1\t1", "separated by tabs", "q1"),
        ("q1\td1\tone", "a number", "'one'"),
        ("q1\td1\tnan", "a number", "'nan'"),
        ("q1\td1\t1", "one score per pair", "'d1'"),
    ],
)
def test_malformed_qrels(folder, line, expected, found):
    (folder / "qrels" / "test.tsv").write_text(QRELS + line + "\n")
    message = error(load, str(folder))
    assert f"{folder}/qrels/test.tsv line 5: expected" in message
    assert expected in message
    assert found in message.split("found")[1]


def test_qrels_must_hold_something_to_find(folder):
    for text in ("", "query-id\tcorpus-id\tscore\n", "q1\td1\t0\n"):
        (folder / "qrels" / "test.tsv").write_text(text)
        assert "nothing to measure" in error(load, str(folder))


def test_judged_queries_need_a_text(folder):
    (folder / "qrels" / "test.tsv").write_text(QRELS + "q9\td1\t1\n")
    assert "1 judged queries are not in queries.jsonl, the first is 'q9'" in error(load, str(folder))


MALFORMED = [
    (b'{"_id": "x", "text": ', "JSON object", '{"_id": "x"'),
    (b'["x"]', "JSON object", '["x"]'),
    (b'{"id": "x", "text": "t"}', "`_id`", "only id, text"),
    (b'{"_id": "", "text": "t"}', "`_id`", '""'),
    (b'{"_id": true, "text": "t"}', "`_id`", "true"),
    (b'{"_id": "x"}', "`text`", "only _id"),
    (b'{"_id": "x", "text": null}', "`text`", "null"),
    (b'{"_id": "x", "text": "\xff"}', "UTF-8", "xff"),
]


@pytest.mark.parametrize(("line", "expected", "found"), MALFORMED)
def test_malformed_records(folder, line, expected, found):
    for name in ("corpus.jsonl", "queries.jsonl"):
        path = folder / name
        path.write_bytes(path.read_bytes() + b"\n" + line + b"\n")
        number = path.read_bytes().count(b"\n")
        message = error(lambda: list(corpus(str(folder)))) if name == "corpus.jsonl" else error(load, str(folder))
        assert f"{path} line {number}: expected" in message
        assert expected in message
        assert found in message.split("found", 1)[1]


def test_a_title_that_is_no_string(folder):
    (folder / "corpus.jsonl").write_text('{"_id": "x", "title": 3, "text": "t"}\n')
    assert "line 1: expected a string as `title`, found 3" in error(lambda: list(corpus(str(folder))))


def test_query_ids_are_distinct(folder):
    (folder / "queries.jsonl").write_text(jsonl([*QUERIES, QUERIES[0]]))
    assert "line 4: expected distinct query ids, found 'q2' again" in error(load, str(folder))


@needs_fixtures
def test_scifact():
    root = FIXTURES / "retrieval" / "scifact"
    task = load(str(root))
    assert (task.name, len(task.queries), sum(map(len, task.qrels.values()))) == ("scifact", 300, 339)
    assert task.queries["1"] == "0-dimensional biomaterials show inductive properties."
    rows = list(corpus(str(root)))
    assert len({row.id for row in rows}) == len(rows) == 5183
    assert {name for grades in task.qrels.values() for name in grades} <= {row.id for row in rows}
    assert "splits there: test" in error(load, str(root), "train")


@needs_fixtures
def test_a_corpus_with_paths():
    rows = list(corpus(str(FIXTURES / "retrieval" / "exercises")))
    assert rows[0].meta["path"] == "images/3_4_Sit-Up/0.jpg"


def test_the_same_folder_as_a_suite(folder):
    suite = Beir(str(folder))
    assert (list(suite.tasks()), suite.name, suite.root) == (["made-up"], "beir", str(folder))
    task = suite.load("made-up")
    assert [(query.name, query.item.text, dict(query.relevant), query.candidates) for query in task.queries] == [
        ("q2", "second", {"d1": 0.5}, None),
        ("q1", "first", {"d1": 2.0}, None),
    ]
    assert {name: (item.title, item.text) for name, item in task.candidates.items()} == {
        "d1": ("One", "first text"),
        "d2": ("", "no title"),
    }
    assert (task.measures, task.primary, task.graded, task.local) == ("trec", "ndcg@10", True, False)


def test_a_suite_whose_candidates_are_a_lakes(folder):
    assert not Beir(str(folder), lake=True).load("made-up").candidates
    (folder / "corpus.jsonl").unlink()
    assert len(Beir(str(folder), lake=True).load("made-up").queries) == 2
    assert "no corpus.jsonl" in error(Beir(str(folder)).load, "made-up")
    assert "has one task, made-up" in error(Beir(str(folder), wanted=("other",)).tasks)
