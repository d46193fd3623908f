"""Rows of video question answering that are wrong, and the forms that an answer comes in."""

import pytest
from mmeb_reading import RECORDS, task_of

from smart_jobs.evaluate.mmeb import suite
from smart_jobs.keys import Suite
from smart_jobs.records import UsageError

OPTIONS = ["A. one", "B. two"]


@pytest.mark.parametrize(
    ("key", "row", "expected"),
    [
        ("Video-MME", {"videoID": "v", "question": "q", "options": OPTIONS, "answer": "C"}, "one of A, B"),
        ("Video-MME", {"videoID": "v", "question": "q", "options": OPTIONS, "answer": "AB"}, "one of A, B"),
        ("Video-MME", {"videoID": "v", "question": "q", "options": OPTIONS, "answer": ""}, "one of A, B"),
        ("EgoSchema", {"video_idx": "v", "question": "q", "option": OPTIONS, "answer": "2"}, "a place among 2"),
        ("EgoSchema", {"video_idx": "v", "question": "q", "option": OPTIONS, "answer": -1}, "a place among 2"),
        ("NExTQA", {"video": 1, "question": "q", "answer": 5, **{f"a{i}": "x" for i in range(5)}}, "a place among 5"),
        ("ActivityNetQA", {"video_name": "v", "question": "q", "answer": "maybe"}, "yes or no"),
    ],
)
def test_an_answer_that_is_none(tmp_path, key, row, expected):
    with pytest.raises(UsageError, match=f"row 0: expected {expected}"):
        task_of(tmp_path, key, [row])


@pytest.mark.parametrize("answer", [1, "1"])
def test_a_place_as_number_or_string(tmp_path, answer):
    row = {"video_idx": "v", "question": "q", "option": OPTIONS, "answer": answer}
    assert task_of(tmp_path, "EgoSchema", [row]).queries[0].relevant == {"B. two": 1.0}


def test_the_sets_of_mvbench_in_their_order_each_with_its_own_videos(tmp_path):
    subsets = RECORDS["MVBench"].config
    row = {"video": "v.mp4", "question": "q", "candidates": ["x"], "answer": "x"}
    task = task_of(tmp_path, "MVBench", {subset: [row, row] for subset in reversed(subsets)})
    folders = [query.item.files[0].uri.split("/")[-2:] for query in task.queries]
    assert folders == [[subset, "v.mp4"] for subset in subsets for _ in range(2)]


def test_a_file_of_all_sets_needs_the_column_that_tells_them_apart(tmp_path):
    path = tmp_path / "video-tasks" / "data" / "mvbench.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text('{"video": "v.mp4", "question": "q", "candidates": ["x"], "answer": "x"}\n')
    found = suite.opened(Suite(name="mmeb_v2", path=str(tmp_path), tasks=("MVBench",)), "qwen3_vl")
    with pytest.raises(UsageError, match="row 0: no column 'subset'"):
        found.load("MVBench")
