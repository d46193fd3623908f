"""What a check says of a whole miniature, of one with holes, and of suites of other kinds."""

import json
import shutil

import mmeb_making
import pytest
from suites import write_suite

from smart_jobs.evaluate.beir import Beir
from smart_jobs.evaluate.check import check
from smart_jobs.evaluate.mmeb import suite
from smart_jobs.keys import Suite


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("mmeb")
    return root, mmeb_making.make(root)


def opened(made, *tasks, **changed):
    keys = {"name": "mmeb_v2", "path": str(made[0]), "definition": made[1], "tasks": tasks}
    return suite.opened(Suite(**{**keys, **changed}), "qwen3_vl")


def test_a_whole_miniature_is_complete_and_says_what_is_broken_in_it(made):
    found = check(opened(made))
    assert len(found.tasks) == 78
    assert all(task.complete and task.problem is None for task in found.tasks)
    broken = {task.task: (task.missing, task.first) for task in found.tasks if task.missing}
    frames = "video-tasks/frames"
    assert broken == {
        "Wiki-SS-NQ": (1, ("image-tasks/Wiki-SS-NQ/sub/Image_2.jpg",)),
        "OVEN": (1, ("image-tasks/OVEN/Query_0.jpg",)),
        "VATEX": (1, (f"{frames}/video_ret/data/ziyan/video_retrieval/VATEX/frames/VATEX_1",)),
        "YouCook2": (1, (f"{frames}/video_ret/data/ziyan/video_retrieval/YouCook2/frames/YouCook2_0",)),
        "Video-MME": (1, (f"{frames}/video_qa/Video-MME/mme1",)),
        "QVHighlight": (1, (f"{frames}/video_mret/QVHighlight/a.1/negative_clip_2",)),
        "MomentSeeker": (1, (f"{frames}/video_mret/MomentSeeker/video_frames/movie_x",)),
    }
    remarks = {task.task: task.remarks for task in found.tasks if task.remarks}
    lost = "1 of {} queries have nothing to find among their candidates"
    assert remarks == {"MVBench": (lost.format(20),), "Charades-STA": (lost.format(3),)}


def test_the_cost_counts_each_content_once_for_all_tasks(made):
    found = check(opened(made))
    assets, frames, size = {}, 0, 0
    benchmark = opened(made)
    for name in benchmark.tasks():
        task = benchmark.load(name)
        for side, items in (("query", [q.item for q in task.queries]), ("document", task.candidates.values())):
            for item in items:
                asset = item.asset(side, benchmark.root)
                if asset.uri not in assets:
                    assets[asset.uri] = "video" if asset.files and asset.files[0].media == "frame" else (
                        "image" if asset.files else "text")  # fmt: skip
                    frames += sum(file.media == "frame" for file in asset.files)
                    size += item.size
    kinds = list(assets.values())
    assert found.cost.segments == {kind: kinds.count(kind) for kind in ("text", "image", "video")}
    assert (found.cost.frames, found.cost.bytes) == (frames, size)
    assert sum(found.cost.segments.values()) <= 1500  # tests encode all of it
    alone = [sum(check(opened(made, task)).cost.segments.values()) for task in ("GQA", "ScienceQA")]
    assert sum(check(opened(made, "GQA", "ScienceQA")).cost.segments.values()) < sum(alone)  # they share answers


def test_counts_that_differ_from_those_stated(made):
    """The shipped definition states the real benchmark's."""
    found = check(opened(made, "OK-VQA", "K700", "ViDoRe_docvqa", "MomentSeeker", definition=None))
    numbers = {task.task: (task.queries.found, task.queries.expected, task.candidates.found,
                           task.candidates.expected, task.complete) for task in found.tasks}  # fmt: skip
    assert numbers == {
        "OK-VQA": (3, 1000, 7, None, False),
        "K700": (3, 1000, 700, 700, False),
        "MomentSeeker": (4, 1602, 4, None, False),
        "ViDoRe_docvqa": (3, 451, 4, 500, False),
    }
    [task] = [task for task in found.tasks if task.task == "OK-VQA"]
    assert task.remarks == ("queries have 3 to 6 candidates each, expected 1000",)
    assert task.annotations == "image-tasks/MMEB_Test_Instruct (repository)"


@pytest.mark.parametrize("profile", ["qwen", "vlm2vec"])
def test_instructions_that_differ_from_those_stated(made, profile):
    found = opened(made, "CIRR", profile=profile)
    stated = {"query": "Find another:", "target": "Represent the given image."}
    found.records["CIRR"] = found.records["CIRR"].model_copy(update={"stated": stated})
    [remark] = check(found).tasks[0].remarks
    assert remark == (
        "instruction of a query: found 'Given an image, find a similar everyday image with the described changes:', "
        "expected 'Find another:'"
    )
    stated = {"query": "Given an image", "target": "Something else."}
    found.records["CIRR"] = found.records["CIRR"].model_copy(update={"stated": stated})
    remarks = check(found).tasks[0].remarks
    wanted = "instruction of a target: found 'Represent the given image.', expected 'Something else.'"
    assert remarks == ((wanted,) if profile == "vlm2vec" else ())


def test_a_task_that_cannot_be_read_stops_no_other(made, tmp_path):
    root = shutil.copytree(made[0], tmp_path / "copy")
    shutil.rmtree(root / "image-tasks" / "MMEB_Test_Instruct" / "OK-VQA")
    (root / "video-tasks" / "HMDB51" / "data" / "test-00001-of-00002.parquet").write_bytes(b"cut")
    found = check(opened((root, made[1]), "OK-VQA", "HMDB51", "K700"))
    problems = {task.task: task.problem for task in found.tasks}
    assert problems["OK-VQA"].startswith("OK-VQA: no annotations (ziyjiang/MMEB_Test_Instruct, split test) in ")
    assert "test-00001-of-00002.parquet: cannot be read: " in problems["HMDB51"]
    assert problems["K700"] is None
    assert [task.complete for task in found.tasks if task.problem] == [False, False]
    assert {task.category for task in found.tasks} == {"IMG_QA", "VID_CLS"}


def test_it_is_plain_values(made):
    content = check(opened(made, "HMDB51", "Video-MME")).as_json()
    assert json.loads(json.dumps(content)) == content
    assert (content["complete"], content["of"], content["suite"]) == (2, 2, "mmeb_v2")
    assert content["tasks"]["HMDB51"]["queries"] == {"found": 3, "expected": 3}
    assert content["tasks"]["HMDB51"]["complete"] is True
    assert content["tasks"]["Video-MME"]["missing"] == 1


def test_suites_of_other_kinds_are_checked_too(tmp_path):
    root = write_suite(tmp_path / "small")
    found = check(Beir(str(root)))
    [task] = found.tasks
    assert (task.task, task.queries.found, task.candidates.found, task.complete) == ("small", 5, 5, True)
    assert found.cost.segments == {"text": 10, "image": 0, "video": 0}
    [task] = check(Beir(str(root), lake=True)).tasks
    assert (task.candidates.found, task.remarks) == (0, ())
    [task] = check(Beir(str(root), split="dev")).tasks
    assert "has no split 'dev'" in task.problem
