"""The image tasks' rows, where the miniature says nothing of them."""

import pytest
from mmeb_reading import task_of

from smart_jobs.records import UsageError

ROW = {"qry_inst": "<|image_1|>\nFind it", "qry_text": "q", "qry_img_path": "a/q.jpg", "tgt_inst": "<|image_1|>\nSee",
       "tgt_text": ["x", "y"], "tgt_img_path": ["a/1.jpg", "a/2.jpg"]}  # fmt: skip


def mistake(*args):
    with pytest.raises(UsageError) as raised:
        task_of(*args)
    return str(raised.value)


def test_the_first_of_a_name_counts_and_repetitions_stay_in_the_row(tmp_path):
    """A later row has another caption for the same image, which only its own name would keep."""
    rows = [ROW, {**ROW, "tgt_text": ["other", "y"], "tgt_img_path": ["a/1.jpg", "a/1.jpg"]}]
    task = task_of(tmp_path, "WebQA", rows)
    assert {name: item.text for name, item in task.candidates.items()} == {"a/1.jpg": "x", "a/2.jpg": "y"}
    assert [query.candidates for query in task.queries] == [("a/1.jpg", "a/2.jpg"), ("a/1.jpg", "a/1.jpg")]
    assert [dict(query.relevant) for query in task.queries] == [{"a/1.jpg": 1.0}] * 2
    task = task_of(tmp_path, "OVEN", rows)
    assert {name: item.text for name, item in task.candidates.items()} == {
        "a/1.jpg:x": "x", "a/2.jpg:y": "y", "a/1.jpg:other": "other", "a/1.jpg:y": "y",
    }  # fmt: skip


def test_a_name_loses_quotes_that_the_text_keeps(tmp_path):
    task = task_of(tmp_path, "RefCOCO-Matching", [{**ROW, "tgt_text": ['"a "b" c"', '""x']}])
    assert {name: item.text for name, item in task.candidates.items()} == {
        'a/1.jpg:a "b" c': '"a "b" c"', "a/2.jpg:x": '""x',
    }  # fmt: skip


def test_names_are_held_once(tmp_path):
    rows = [{**ROW, "tgt_text": ["a label", "another label"]} for _ in range(3)]
    task = task_of(tmp_path, "GQA", rows)
    held = {id(name) for query in task.queries for name in query.candidates} | {id(name) for name in task.candidates}
    assert len(held) == 2


@pytest.mark.parametrize("profile", ["qwen", "vlm2vec"])
def test_a_query_that_is_a_text_has_no_image_whatever_its_column_says(tmp_path, profile):
    assert task_of(tmp_path, "EDIS", [ROW], profile).queries[0].item.files == ()
    assert len(task_of(tmp_path, "CIRR", [ROW], profile).queries[0].item.files) == 1


def test_columns_that_may_be_missing_or_null(tmp_path):
    row = {key: value for key, value in ROW.items() if key not in ("qry_inst", "tgt_inst")}
    task = task_of(tmp_path, "CIRR", [{**row, "qry_text": None, "tgt_text": [None, "y"]}])
    assert (task.queries[0].item.instruction, task.queries[0].item.text) == ("", "")
    assert list(task.candidates) == ["a/1.jpg:", "a/2.jpg:y"]


def test_rows_that_are_wrong_are_named(tmp_path):
    short = {**ROW, "tgt_text": ["x"]}
    assert mistake(tmp_path, "NIGHTS", [ROW, short]) == (
        f"{tmp_path}/rows.jsonl row 1: expected a text for each image, found 1 for 2"
    )
    assert "row 0: expected candidates, the right one first" in mistake(tmp_path, "GQA", [{**ROW, "tgt_text": []}])
    row = {key: value for key, value in ROW.items() if key != "tgt_text"}
    assert "row 0: no column 'tgt_text'; it has qry_inst" in mistake(tmp_path, "GQA", [row])
