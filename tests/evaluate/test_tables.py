"""Rows of annotation files: the same from every format, and one line for what is wrong."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from smart_jobs.evaluate import tables
from smart_jobs.evaluate.tables import Row
from smart_jobs.records import UsageError

ROWS = [{"n": i, "text": f"row {i}\n", "texts": ["a", str(i)]} for i in range(250)]


def mistake(call, *args):
    with pytest.raises(UsageError) as raised:
        call(*args)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def read(path):
    return list(tables.rows([str(path)]))


def written(folder, suffix):
    path = folder / f"rows{suffix}"
    table = pa.Table.from_pylist(ROWS)
    if suffix == ".parquet":
        pq.write_table(table, path, row_group_size=70)
    elif suffix == ".arrow":
        with pa.ipc.new_stream(str(path), table.schema) as stream:
            stream.write_table(table, max_chunksize=70)
    else:
        lines = "\n\n".join(json.dumps(row) for row in ROWS)
        path.write_text(lines if suffix == ".jsonl" else json.dumps(ROWS))
    return str(path)


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".jsonl", ".json"])
def test_every_format_gives_the_same_rows(tmp_path, suffix):
    uri = written(tmp_path, suffix)
    found = list(tables.rows([uri, uri]))
    assert [row.values for row in found] == ROWS * 2
    assert [row.place for row in found] == list(range(250)) * 2
    assert {row.file for row in found} == {uri}


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_only_the_columns_that_are_wanted_are_read(tmp_path, suffix):
    uri = written(tmp_path, suffix)
    assert next(tables.rows([uri], ["text", "other"])).values == {"text": "row 0\n"}


def test_lines_under_the_name_of_a_list(tmp_path):
    (tmp_path / "a.json").write_text('{"n": 1}\n{"n": 2}\n')
    assert [row["n"] for row in tables.rows([str(tmp_path / "a.json")])] == [1, 2]


def test_values_as_they_are_wanted():
    row = Row({"n": 7, "none": None, "text": "a", "texts": ["a", None], "written": "12", "half": 0.5}, "f", 3)
    assert [row.text(name) for name in ("n", "none", "text")] == ["7", "", "a"]
    assert row.texts("texts") == ["a", ""]
    assert (row.whole("n"), row.whole("written"), row.number("half")) == (7, 12, 0.5)


@pytest.mark.parametrize(
    ("method", "value", "expected"),
    [
        ("text", ["a"], "a string"),
        ("text", True, "a string"),
        ("texts", "a", "a list of strings"),
        ("texts", [1], "a list of strings"),
        ("texts", None, "a list of strings"),
        ("whole", "one", "a whole number"),
        ("whole", None, "a whole number"),
        ("number", "1", "a number"),
        ("number", True, "a number"),
    ],
)
def test_values_that_are_none(method, value, expected):
    row = Row({"a": value}, "file.parquet", 3)
    assert mistake(getattr(row, method), "a") == (
        f"file.parquet row 3: expected {expected} as 'a', found {str(value)!r}"
    )


def test_a_column_that_is_not_there():
    assert mistake(Row({"a": 1, "b": 2}, "f", 0).text, "c") == "f row 0: no column 'c'; it has a, b"


def test_half_a_surrogate_pair_becomes_a_question_mark(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"a": "\\ud83d", "b": ["\\ude00", "ä\\ud83d\\ude00"]}\n')
    [row] = tables.rows([str(tmp_path / "a.jsonl")])
    assert row.text("a") == "?"
    assert row.texts("b") == ["?", "ä😀"]


def test_files_that_are_not_what_they_are_called(tmp_path):
    for suffix in (".parquet", ".arrow"):
        (tmp_path / f"a{suffix}").write_bytes(b"no table")
        assert f"a{suffix}: cannot be read: " in mistake(read, tmp_path / f"a{suffix}")
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n{"a": \n')
    assert "a.jsonl line 2: expected a JSON object" in mistake(read, tmp_path / "a.jsonl")
    (tmp_path / "a.json").write_text('[{"a": 1}, 2]')
    assert "a.json row 1: expected a JSON object, found '2'" in mistake(read, tmp_path / "a.json")


def test_what_keeps_images(tmp_path):
    image = {"bytes": b"x", "path": "a.png"}
    for name, value in (("yes", image), ("path", "a.png"), ("other", {"a": 1})):
        pq.write_table(pa.Table.from_pylist([{"image": value}] * 3), tmp_path / f"{name}.parquet")
    (tmp_path / "lines.jsonl").write_text("{}\n")
    found = {path.stem: tables.keeps_images(str(path), "image") for path in tmp_path.iterdir()}
    assert found == {"yes": True, "path": False, "other": False, "lines": False}
    assert not tables.keeps_images(str(tmp_path / "yes.parquet"), "picture")
    assert tables.length(str(tmp_path / "yes.parquet")) == 3
