"""A folder is an index once its manifest is there, and its files are what the manifest says."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from smart_jobs import storage
from smart_jobs.index import manifest
from smart_jobs.index.manifest import INDEX_FILE, MANIFEST, Judged, Manifest, Pin
from smart_jobs.records import JobError

START = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
DATA = b"the bytes of an index" * 100


def made(index_id="a", hours=0, files=None):
    files = {INDEX_FILE: DATA} if files is None else files
    return Manifest(
        index_id=index_id,
        encoder="minilm-0123abcd",
        spec="0123abcd",
        factory="IVF32,PQ384x4np",
        nprobe=23,
        vectors=1_500,
        dim=384,
        built_from=Pin(table_id="t-1", version=7),
        hidden_states=Pin(table_id="t-2", version=6),
        recall_at_10=0.94,
        recall_queries=200,
        bytes=sum(map(len, files.values())),
        files=manifest.entries(files),
        created_at=START + timedelta(hours=hours),
        faiss_version="1.15.1",
        train_seconds=0.5,
        why="because",
    )


@pytest.fixture(params=["folder", "store"])
def root(request, tmp_path):
    if request.param == "folder":
        yield f"{tmp_path}/indexes"
        return
    uri = f"memory://{tmp_path.name}/indexes"
    yield uri
    fs, path = storage.filesystem(uri)
    fs.delete_dir_contents(path, missing_dir_ok=True)


def test_what_was_written_is_read(root):
    folder = storage.join(root, "a")
    manifest.write(folder, made(), {INDEX_FILE: DATA})
    assert manifest.read(folder) == made()
    assert manifest.read_index_bytes(folder, made()) == DATA
    found, newest = manifest.newest(root)
    assert newest == made()
    assert manifest.read_index_bytes(found, newest) == DATA


def test_no_index_at_all(root):
    assert manifest.newest(root) is None


def test_the_newest_is_the_one_made_last(root):
    for index_id, hours in (("b", 2), ("z", 1), ("a", 3), ("m", 0)):
        manifest.write(storage.join(root, index_id), made(index_id, hours), {INDEX_FILE: DATA})
    assert manifest.newest(root)[1].index_id == "a"


def test_time_zones_do_not_confuse_the_order(root):
    earlier = {**made("early").model_dump(mode="json"), "created_at": "2026-11-21T04:30:00+02:00"}
    manifest.write(storage.join(root, "late"), made("late"), {INDEX_FILE: DATA})
    manifest.write(storage.join(root, "early"), Manifest.model_validate(earlier), {INDEX_FILE: DATA})
    assert manifest.newest(root)[1].index_id == "late"


@pytest.mark.parametrize("survives", [0, 1])
def test_a_crash_before_the_manifest_leaves_the_previous_index(root, survives, monkeypatch):
    manifest.write(storage.join(root, "a"), made("a"), {INDEX_FILE: DATA})
    real, done = storage.write_bytes, []

    def dies(uri, data):
        if len(done) == survives:
            raise KeyboardInterrupt
        done.append(uri)
        real(uri, data)

    monkeypatch.setattr(storage, "write_bytes", dies)
    with pytest.raises(KeyboardInterrupt):
        manifest.write(storage.join(root, "b"), made("b", 1), {INDEX_FILE: DATA})
    monkeypatch.undo()
    assert [uri.rsplit("/", 1)[1] for uri in done] == [INDEX_FILE][:survives]
    assert manifest.newest(root)[1].index_id == "a"
    with pytest.raises(JobError, match=r"b/manifest\.json is missing"):
        manifest.read(storage.join(root, "b"))


def test_an_unfinished_index_is_finished_by_writing_it_again(root):
    folder = storage.join(root, "a")
    storage.write_bytes(storage.join(folder, INDEX_FILE), b"half")
    manifest.write(folder, made(), {INDEX_FILE: DATA})
    assert manifest.read_index_bytes(folder, made()) == DATA


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (DATA[:-1], "2,099 bytes instead of 2,100"),
        (b"", "0 bytes instead of 2,100"),
        (b"T" + DATA[1:], "its checksum is not the manifest's"),
    ],
)
def test_a_damaged_file_is_refused_by_name(root, data, says):
    folder = storage.join(root, "a")
    manifest.write(folder, made(), {INDEX_FILE: DATA})
    storage.write_bytes(storage.join(folder, INDEX_FILE), data)
    with pytest.raises(JobError, match=rf"a/index\.faiss is damaged: {re.escape(says)}") as caught:
        manifest.read_index_bytes(folder, made())
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(root):
    folder = storage.join(root, "a")
    manifest.write(folder, made(), {INDEX_FILE: DATA})
    storage.delete(storage.join(folder, INDEX_FILE))
    with pytest.raises(JobError, match=r"a/index\.faiss is missing"):
        manifest.read_index_bytes(folder, made())


@pytest.mark.parametrize(
    ("change", "says"),
    [({"dim": 0}, "dim"), ({"surprise": 1}, "surprise"), ({"created_at": "2026-11-21T03:00:00"}, "created_at")],
)
def test_a_damaged_manifest_is_refused_by_name(root, change, says):
    folder = storage.join(root, "a")
    data = {**made().model_dump(mode="json"), **change}
    storage.write_bytes(storage.join(folder, MANIFEST), json.dumps(data).encode())
    for reading in (lambda: manifest.read(folder), lambda: manifest.newest(root)):
        with pytest.raises(JobError, match=rf"a/manifest\.json is damaged \({says}: ") as caught:
            reading()
        assert "\n" not in str(caught.value)


def test_half_a_manifest_is_refused_by_name(root):
    folder = storage.join(root, "a")
    storage.write_bytes(storage.join(folder, MANIFEST), made().model_dump_json().encode()[:100])
    with pytest.raises(JobError, match=r"a/manifest\.json is damaged \(the file: "):
        manifest.read(folder)


def test_files_and_manifest_have_to_agree(root):
    with pytest.raises(ValueError, match="are not those of its manifest"):
        manifest.write(storage.join(root, "a"), made(), {INDEX_FILE: DATA + b"x"})
    assert manifest.newest(root) is None


def test_an_index_is_never_written_over(root):
    folder = storage.join(root, "a")
    manifest.write(folder, made(), {INDEX_FILE: DATA})
    with pytest.raises(FileExistsError, match=r"a/manifest\.json"):
        manifest.write(folder, made(hours=1, files={INDEX_FILE: b"new"}), {INDEX_FILE: b"new"})
    assert manifest.read_index_bytes(folder, manifest.read(folder)) == DATA


def judged(run_id, two_stage):
    return Judged(run_id=run_id, queries=5, candidates=200, exhaustive=0.75, two_stage=two_stage)


def test_what_evaluations_found_is_noted_by_task_and_nothing_else_changes(root):
    folder = storage.join(root, "a")
    manifest.write(folder, made(), {INDEX_FILE: DATA})
    manifest.judge(folder, "beir/known", judged("1", 0.7))
    manifest.judge(folder, "beir/other", judged("2", 0.6))
    manifest.judge(folder, "beir/known", judged("3", 0.75))
    wanted = {"beir/known": judged("3", 0.75), "beir/other": judged("2", 0.6)}
    assert manifest.read(folder) == made().model_copy(update={"judged": wanted})
    assert manifest.read_index_bytes(folder, manifest.read(folder)) == DATA


def test_of_an_index_that_is_gone_nothing_is_noted(tmp_path):
    manifest.judge(str(tmp_path / "a"), "beir/known", judged("1", 0.7))
    assert not any(tmp_path.iterdir())
