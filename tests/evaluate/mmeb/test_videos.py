"""Rows of video classification and retrieval, where the miniature says nothing of them."""

import pytest
from mmeb_reading import task_of

from smart_jobs.records import UsageError


def test_a_label_that_the_list_lacks_is_a_candidate_too(tmp_path):
    rows = [{"video_id": "a", "pos_text": "porridge"}, {"video_id": "b", "pos_text": "juice"}]
    task = task_of(tmp_path, "Breakfast", rows)
    assert list(task.candidates)[:2] == ["porridge", "juice"]
    assert len(task.candidates) == 11
    assert task.expected == {"queries": 433, "candidates": 10}
    assert not task.local


def test_only_the_first_rows_count_where_there_is_a_limit(tmp_path):
    rows = [{"video_id": i if i % 2 else str(i), "pos_text": "p", "neg_text": ["p", f"n{i}"]} for i in range(5)]
    task = task_of(tmp_path, "SmthSmthV2", rows, limit=3)
    assert [query.item.files[0].uri.rpartition("/")[2] for query in task.queries] == ["0", "1", "2"]
    assert list(task.candidates) == ["p", "n0", "n1", "n2"]


def test_a_video_is_called_by_its_file_without_folder_and_suffix(tmp_path):
    task = task_of(tmp_path, "DiDeMo", [{"video": "x/y/a.b.mp4", "caption": "c"}])
    assert list(task.candidates) == ["a.b"]
    assert task.queries[0].relevant == {"a.b": 1.0}


def test_the_same_video_twice_is_one_candidate(tmp_path):
    rows = [{"video_id": "v", "video": "v.mp4", "caption": caption} for caption in ("one", "two")]
    task = task_of(tmp_path, "MSR-VTT", rows)
    assert list(task.candidates) == ["v"]
    assert [query.item.text for query in task.queries] == ["one", "two"]


def test_a_row_without_a_caption(tmp_path):
    with pytest.raises(UsageError, match=r"row 0: expected a caption in 'enCap', found none"):
        task_of(tmp_path, "VATEX", [{"videoID": "v", "enCap": []}])
