"""Clips as candidates: which folders they are, what they are called, and what is right where nothing is."""

import pytest
from mmeb_reading import task_of

from smart_jobs.records import UsageError

PLACE = "video-tasks/frames/video_mret"


def clips(root, *names):
    for name in names:
        (root / PLACE / name).mkdir(parents=True)
        (root / PLACE / name / "frame_0001.jpg").write_bytes(b"x")


def test_every_folder_beside_the_query_is_a_candidate_in_natural_order(tmp_path):
    clips(tmp_path, *(f"QVHighlight/v/{name}" for name in ("query", "negative_clip_10", "negative_clip_2",
                                                           "positive_clip", "other")))  # fmt: skip
    (tmp_path / PLACE / "QVHighlight/v/positive_1.jpg").write_bytes(b"x")
    task = task_of(tmp_path, "QVHighlight", [{"query": "q", "video_path": "videos/v.mp4"}])
    names = [
        f"{PLACE}/QVHighlight/v/{name}" for name in ("negative_clip_2", "negative_clip_10", "other", "positive_clip")
    ]
    assert list(task.candidates) == names
    assert task.queries[0].candidates == tuple(names)
    assert task.queries[0].relevant == {names[-1]: 1.0}


def test_names_do_not_depend_on_where_the_suite_lies(tmp_path):
    rows = [{"query": "q", "video_path": "v.mp4"}]
    for name in ("one", "two"):
        clips(tmp_path / name, "QVHighlight/v/query", "QVHighlight/v/positive_clip")
    tasks = [task_of(tmp_path / name, "QVHighlight", rows) for name in ("one", "two")]
    assert tasks[0].queries[0].candidates == tasks[1].queries[0].candidates
    roots = [str(tmp_path / name) for name in ("one", "two")]
    assets = [[item.asset("document", root).uri for item in task.candidates.values()]
              for task, root in zip(tasks, roots, strict=True)]  # fmt: skip
    assert assets[0] == assets[1]


def test_where_no_clip_is_right_none_can_be_found(tmp_path):
    clips(tmp_path, "Charades-STA/v/query", "Charades-STA/v/negative_clip_0", "Charades-STA/w/query",
          "Charades-STA/w/positive_clip")  # fmt: skip
    rows = [{"query": "q", "video_path": f"{name}.mp4"} for name in "wvx"]
    task = task_of(tmp_path, "Charades-STA", rows)
    assert [len(query.candidates) for query in task.queries] == [1, 1, 0]
    right = [next(iter(query.relevant)) for query in task.queries]
    assert [name in query.candidates for name, query in zip(right, task.queries, strict=True)] == [True, False, False]


def test_all_that_is_positive_is_right(tmp_path):
    clips(tmp_path, *(f"QVHighlight/v/{name}" for name in ("query", "positive_clip", "positive_clip_2", "negative")))
    task = task_of(tmp_path, "QVHighlight", [{"query": "q", "video_path": "v.mp4"}])
    assert [name.rpartition("/")[2] for name in task.queries[0].relevant] == ["positive_clip", "positive_clip_2"]


@pytest.mark.parametrize(("profile", "frames"), [("qwen", 64), ("vlm2vec", 8)])
def test_a_query_has_the_videos_number_of_frames_and_a_clip_its_own(tmp_path, profile, frames):
    for name in ("query", "positive_clip"):
        folder = tmp_path / PLACE / "QVHighlight" / "v" / name
        folder.mkdir(parents=True)
        for i in range(70):
            (folder / f"{i}.jpg").write_bytes(b"x")
    task = task_of(tmp_path, "QVHighlight", [{"query": "q", "video_path": "v.mp4"}], profile)
    assert len(task.queries[0].item.files) == frames
    assert [len(item.files) for item in task.candidates.values()] == [8]


def test_momentseeker_takes_all_frames_and_several_right_clips(tmp_path):
    folder = tmp_path / PLACE / "MomentSeeker" / "video_frames" / "m_a.b"
    folder.mkdir(parents=True)
    for i in range(70):
        (folder / f"{i}.jpg").write_bytes(b"x")
    paths = [{"output_path": f"m/{name}"} for name in ("a.b.mp4", "c.mp4.cut.mp4", "d.mp4")]
    row = {"query": "q", "input_frames": None, "positive_frames": paths[:2], "negative_frames": paths[2:]}
    task = task_of(tmp_path, "MomentSeeker", [row], "vlm2vec")
    names = [f"{PLACE}/MomentSeeker/video_frames/m_{name}" for name in ("a.b", "c", "d")]
    assert task.queries[0].candidates == tuple(names)
    assert list(task.queries[0].relevant) == names[:2]
    assert [len(item.files) for item in task.candidates.values()] == [70, 1, 1]
    assert task.queries[0].item.files == ()


def test_an_entry_without_its_path(tmp_path):
    row = {"query": "q", "input_frames": "", "positive_frames": [{"path": "x"}], "negative_frames": []}
    with pytest.raises(UsageError, match="row 0: expected a list of objects with `output_path` as 'positive_frames'"):
        task_of(tmp_path, "MomentSeeker", [row])
