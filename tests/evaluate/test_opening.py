"""Which suite a config gets, and for which tasks."""

import json

import mmeb_making
import pytest
from suites import write_pages, write_suite

from smart_jobs import config
from smart_jobs.evaluate.opening import opened
from smart_jobs.records import UsageError
from smart_jobs.settings import Evaluate


def suite(*words, family="qwen3_vl"):
    return opened(config.load(Evaluate, "evaluate", words).suite, family)


def mistake(*words):
    with pytest.raises(UsageError) as raised:
        suite(*words)
    return str(raised.value)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("mmeb")
    mmeb_making.make(root)
    return root


def test_every_kind_of_suite(tmp_path, made):
    write_suite(tmp_path / "small")
    write_pages(tmp_path / "pages")
    row = {"query": "q", "documents": ["a", "b"], "right": 0}
    (tmp_path / "words.jsonl").write_text(json.dumps(row) + "\n")
    for name, path, task in (("beir", tmp_path / "small", "small"), ("folders", tmp_path / "pages", "pages"),
                             ("pairs", tmp_path / "words.jsonl", "words"), ("mmeb_v2", made, "K700")):  # fmt: skip
        found = suite(f"suite={name}", f"suite.path={path}", f"suite.tasks=[{task}]")
        assert (found.name, found.root, list(found.tasks())) == (name, str(path), [task])
        assert len(found.load(task).queries) >= 1


def test_tasks_by_name_category_and_modality(made):
    def tasks(*names):
        return list(suite("suite=mmeb_v2", f"suite.path={made}", f"suite.tasks=[{','.join(names)}]").tasks())

    assert len(tasks()) == 78
    assert tasks("OOD", "VID_MRET") == [
        "QVHighlight", "Charades-STA", "MomentSeeker", "ViDoSeek-page", "ViDoSeek-doc", "MMLongBench-page",
        "MMLongBench-doc",
    ]  # fmt: skip
    assert len(tasks("visdoc")) == 24
    assert tasks("MVBench", "GQA", "VID_QA")[:2] == ["GQA", "MVBench"]
    assert tasks("ViDoSeek-page-fixed") == ["ViDoSeek-page"]


def test_a_task_that_there_is_not(made):
    where = ("suite=mmeb_v2", f"suite.path={made}")
    assert mistake(*where, "suite.tasks=MVBnch").endswith("category or modality; did you mean MVBench?")
    assert "categories are image, IMG_CLS" in mistake(*where, "suite.tasks=zzz")


def test_the_profile_goes_by_the_encoders_family_unless_it_is_said(made):
    where = ("suite=mmeb_v2", f"suite.path={made}")
    found = {family: suite(*where, family=family).profile for family in ("qwen3_vl", "gme", "vlm2vec", "lamra", "text")}
    assert found == {"qwen3_vl": "qwen", "gme": "qwen", "vlm2vec": "vlm2vec", "lamra": "qwen", "text": "qwen"}
    assert suite(*where, "suite.profile=qwen", family="vlm2vec").profile == "qwen"
    assert suite(*where, "suite.profile=vlm2vec").profile == "vlm2vec"


def test_a_profile_that_there_is_not(made):
    assert mistake("suite=mmeb_v2", f"suite.path={made}", "suite.profile=other").startswith("suite.profile: ")
