"""Parquet folders of one's own as a suite."""

import pytest
from suites import PAGES, write_pages

from smart_jobs import storage
from smart_jobs.evaluate.folders import Folders
from smart_jobs.records import UsageError


def mistake(call, *args):
    with pytest.raises(UsageError) as raised:
        call(*args)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_folder_is_a_task(tmp_path):
    root = write_pages(tmp_path / "mine")
    suite = Folders(str(root), "test")
    assert list(suite.tasks()) == ["mine"]
    task = suite.load("mine")
    assert [(query.name, query.item.text) for query in task.queries] == [("3", "question 3"), ("1", "question 1")]
    assert [dict(query.relevant) for query in task.queries] == [{13: 1}, {11: 2, 10: 1}]
    assert list(task.candidates) == [10, 11, 12, 13]
    assert (task.measures, task.primary, task.local) == ("trec", "ndcg@10", False)


def test_an_image_is_named_by_file_column_and_row(tmp_path):
    root = write_pages(tmp_path / "mine")
    task = Folders(str(root), "test").load("mine")
    for number, (file, row) in {10: (0, 0), 11: (0, 1), 12: (1, 0), 13: (1, 1)}.items():
        uri = f"{root}/corpus/test-0000{file}-of-00002.parquet"
        info, [attached] = storage.info(uri), task.candidates[number].files
        assert (attached.uri, attached.media, attached.stamp) == (f"{uri}#image/{row}", "image", info.stamp)
        assert task.candidates[number].size == info.size // 2


def test_texts_and_titles(tmp_path):
    corpus = [{"corpus-id": f"d{i}", "title": f"T{i}", "text": f"text {i}"} for i in range(3)]
    root = write_pages(tmp_path / "mine", corpus, qrels=[(1, "d0", 1), (2, "d2", 1)])
    task = Folders(str(root), "test").load("mine")
    assert [(item.title, item.text, item.files) for item in task.candidates.values()] == [
        (f"T{i}", f"text {i}", ()) for i in range(3)
    ]


def test_a_folder_of_folders_is_several_tasks(tmp_path):
    for name in ("b", "a", "c"):
        write_pages(tmp_path / name)
    (tmp_path / "c" / "qrels").rename(tmp_path / "c" / "other")
    assert list(Folders(str(tmp_path), "test").tasks()) == ["a", "b"]
    assert list(Folders(str(tmp_path), "test", ("b",)).tasks()) == ["b"]
    assert len(Folders(str(tmp_path), "test").load("b").candidates) == 4
    assert "suite.tasks: c is no task; there are a, b" in mistake(Folders(str(tmp_path), "test", ("c",)).tasks)


def test_a_split_where_files_are_called_after_one(tmp_path):
    root = write_pages(tmp_path / "mine")
    write_pages(root, PAGES[:2], "train", qrels=[(2, 10, 1)])
    assert len(Folders(str(root), "test").load("mine").candidates) == 4
    train = Folders(str(root), "train").load("mine")
    assert (list(train.candidates), [query.name for query in train.queries]) == ([10, 11], ["2"])
    assert len(Folders(str(root), "dev").load("mine").candidates) == 4


def test_what_is_missing_is_said(tmp_path):
    assert "no folder with corpus, queries, qrels" in mistake(Folders(str(tmp_path), "test").tasks)
    root = write_pages(tmp_path / "mine", qrels=[(9, 10, 1), (1, 10, 0)])
    assert "no query of queries/ is judged" in mistake(Folders(str(root), "test").load, "mine")
    for path in (root / "qrels").iterdir():
        path.unlink()
    assert f"{root}/qrels: expected Parquet files, found none" == mistake(Folders(str(root), "test").load, "mine")
