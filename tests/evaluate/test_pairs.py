"""Two documents for each query."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from smart_jobs.evaluate.pairs import Pairs
from smart_jobs.records import UsageError

ROWS = [
    {"query": "which?", "documents": ["this", "that"], "right": 1},
    {"query": "what?", "documents": ["that", "other"], "right": 0},
]


def write(path, rows=ROWS):
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def mistake(call, *args):
    with pytest.raises(UsageError) as raised:
        call(*args)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_each_query_ranks_its_two(tmp_path, suffix):
    suite = Pairs(write(tmp_path / f"words{suffix}"))
    assert list(suite.tasks()) == ["words"]
    task = suite.load("words")
    assert [(query.item.text, query.candidates, dict(query.relevant)) for query in task.queries] == [
        ("which?", ("this", "that"), {"that": 1.0}),
        ("what?", ("that", "other"), {"that": 1.0}),
    ]
    assert {name: item.text for name, item in task.candidates.items()} == {n: n for n in ("this", "that", "other")}
    assert (task.measures, task.primary, task.graded, task.local) == ("mmeb", "hit@1", False, True)


def test_a_folder_of_files(tmp_path):
    write(tmp_path / "b.jsonl")
    write(tmp_path / "a.parquet", ROWS[:1])
    (tmp_path / "notes.txt").write_text("no pairs")
    assert list(Pairs(str(tmp_path)).tasks()) == ["a", "b"]
    assert list(Pairs(str(tmp_path), ("b",)).tasks()) == ["b"]
    assert len(Pairs(str(tmp_path)).load("a").queries) == 1
    assert mistake(Pairs(str(tmp_path), ("c",)).tasks) == "suite.tasks: c is no task; there are a, b"


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"documents": ["one"]}, "expected two different texts as 'documents'"),
        ({"documents": ["same", "same"]}, "expected two different texts as 'documents'"),
        ({"documents": "one"}, "expected a list of strings as 'documents'"),
        ({"right": 2}, "expected 0 or 1 as 'right'"),
        ({"right": "first"}, "expected a whole number as 'right'"),
        ({"query": None, "right": None}, "expected a whole number as 'right'"),
    ],
)
def test_rows_that_are_wrong_are_named(tmp_path, changed, expected):
    path = write(tmp_path / "a.jsonl", [ROWS[0], {**ROWS[1], **changed}])
    assert mistake(Pairs(path).load, "a").startswith(f"{path} row 1: {expected}")


def test_nothing_to_measure(tmp_path):
    assert "expected a JSONL or Parquet file" in mistake(Pairs(str(tmp_path / "none")).tasks)
    assert "nothing to measure" in mistake(Pairs(write(tmp_path / "a.jsonl", [])).load, "a")
