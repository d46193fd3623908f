"""Bytes behind a URI: on disk, in fsspec's memory://, and on an S3 server."""

import contextlib
import os
import resource
import signal
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_jobs import storage
from smart_jobs.records import JobError, UsageError

NAMES = ["plain", "with space", "hash#tag", "per%cent", "enc%20oded", "a+b", "q?x=1&y", "ümlaut 名前", "br[0]*", "a\\b"]


@pytest.fixture(params=["disk", "memory", "s3"])
def root(request, tmp_path):
    """A folder that is not there yet."""
    if request.param == "disk":
        yield f"{tmp_path}/new"
    elif request.param == "s3":
        yield f"{request.getfixturevalue('bucket')}/new"
    else:
        uri = f"memory://{uuid.uuid4().hex}"
        yield uri
        fs, path = fsspec.core.url_to_fs(uri)
        if fs.exists(path):
            fs.rm(path, recursive=True)


@pytest.fixture(params=["disk", "s3"])
def safe(request, tmp_path):
    """A folder where a lake may lie."""
    return f"{tmp_path}/new" if request.param == "disk" else f"{request.getfixturevalue('bucket')}/new"


def listed(uri, **options):
    return [(path, info.size) for path, info in storage.list_files(uri, **options)]


def test_what_is_written_is_read_and_listed(root):
    storage.write_bytes(f"{root}/b/c.bin", b"12")
    storage.write_bytes(f"{root}/a.bin", b"\0" * 5)
    storage.write_bytes(f"{root}/b/a.bin", b"")
    assert storage.read_bytes(f"{root}/b/c.bin") == b"12"
    assert listed(root) == [(f"{root}/a.bin", 5), (f"{root}/b/a.bin", 0), (f"{root}/b/c.bin", 2)]
    assert listed(root, recursive=False) == [(f"{root}/a.bin", 5)]
    assert [storage.read_bytes(uri) for uri, _ in listed(root)] == [b"\0" * 5, b"", b"12"]


def test_writing_again_replaces(root):
    storage.write_bytes(f"{root}/a", b"long content")
    storage.write_bytes(f"{root}/a", b"new")
    assert storage.read_bytes(f"{root}/a") == b"new"
    assert listed(root) == [(f"{root}/a", 3)]


def test_what_exists(root):
    assert not storage.exists(root)
    assert listed(root) == []
    storage.write_bytes(f"{root}/b/a", b"1")
    assert [storage.exists(f"{root}{tail}") for tail in ("", "/b", "/b/a", "/b/c")] == [True, True, True, False]
    assert [storage.is_folder(f"{root}{tail}") for tail in ("", "/b", "/b/a", "/b/c")] == [True, True, False, False]
    assert storage.info(f"{root}/b/a").size == 1


def test_deleting_twice_is_no_error(root):
    storage.write_bytes(f"{root}/a", b"1")
    storage.write_bytes(f"{root}/b", b"2")
    storage.delete(f"{root}/a")
    storage.delete(f"{root}/a")
    assert listed(root) == [(f"{root}/b", 1)]


def test_what_is_read_can_be_read_anywhere(root):
    storage.write_bytes(f"{root}/a", bytes(range(100)))
    with storage.open_input(f"{root}/a") as handle:
        handle.seek(50)
        assert handle.read(3) == bytes([50, 51, 52])


def test_reading_what_is_not_there_is_an_oserror(root):
    with pytest.raises(OSError, match="a"):
        storage.read_bytes(f"{root}/a")


@pytest.mark.parametrize("before", [None, b"old content"])
def test_a_write_that_fails_half_way_leaves_what_was_there(tmp_path, before):
    target = tmp_path / "a.bin"
    if before is not None:
        target.write_bytes(before)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            storage.write_bytes(str(target), b"new" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert (target.read_bytes() if target.exists() else None) == before
    assert list(tmp_path.glob("*")) == ([target] if before else [])


@pytest.mark.parametrize("write", [storage.write_bytes, storage.create_bytes])
def test_a_name_appears_when_its_content_is_on_the_disk_and_is_synced_itself(tmp_path, monkeypatch, write):
    synced = []

    def sync(descriptor):
        place = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        synced.append((place.is_dir(), place.read_bytes() if place.is_file() else b"", (tmp_path / "a").exists()))

    monkeypatch.setattr(os, "fsync", sync)
    write(str(tmp_path / "a"), b"content")
    assert synced == [(False, b"content", False), (True, b"", True)]


def test_of_many_that_create_one_file_one_does(safe):
    contents = [str(i).encode() * 1000 for i in range(16)]
    with ThreadPoolExecutor(16) as pool:
        created = list(pool.map(lambda data: storage.create_bytes(f"{safe}/a", data), contents))
    assert sum(created) == 1
    assert storage.read_bytes(f"{safe}/a") == contents[created.index(True)]
    assert listed(safe) == [(f"{safe}/a", len(contents[created.index(True)]))]


def test_a_store_that_cannot_create_if_absent_says_so():
    with pytest.raises(JobError, match="memory:// cannot create a file only if it is absent"):
        storage.create_bytes("memory://x/a", b"1")


def test_a_store_that_overwrites_is_refused(s3, bucket):
    storage.require_create(bucket)
    with (
        s3.failing(overwrites=True),
        pytest.raises(JobError, match=rf"lake {bucket}: this store overwrites where it was asked to create"),
    ):
        storage.require_create(bucket)
    assert listed(bucket) == []


@pytest.mark.parametrize("name", NAMES)
def test_names_are_taken_as_they_are(safe, name):
    uri = f"{safe}/{name}/{name}.txt"
    storage.write_bytes(uri, b"1")
    assert (storage.read_bytes(uri), storage.info(uri).kind) == (b"1", "file")
    assert storage.is_folder(f"{safe}/{name}")
    assert listed(safe) == [(uri, 1)]
    assert storage.folders(safe) == [name]
    storage.delete(uri)
    assert listed(safe) == []


def test_a_prefix_is_no_folder(root):
    storage.write_bytes(f"{root}/abc/x", b"1")
    storage.write_bytes(f"{root}/ab", b"1")
    assert [storage.info(f"{root}/{name}").kind for name in ("a", "ab", "abc")] == ["nothing", "file", "folder"]
    assert listed(f"{root}/a") == []
    assert storage.folders(root) == ["abc"]
    assert storage.folders(f"{root}/none") == []


def ranges(uri, starts, ends):
    parts = [memoryview(bytearray(end - start)) for start, end in zip(starts, ends, strict=True)]
    storage.read_into(uri, starts, parts)
    return parts


def test_ranges_of_a_file(root):
    data = os.urandom(3_000_000)
    storage.write_bytes(f"{root}/a", data)
    starts = [0, 10, 2_900_000, 5, 1_500_000]
    ends = [10, 11, 3_000_000, 6, 1_500_001]
    assert ranges(f"{root}/a", starts, ends) == [data[start:end] for start, end in zip(starts, ends, strict=True)]
    with storage.open_input(f"{root}/a") as handle:
        handle.seek(-5, os.SEEK_END)
        assert (handle.tell(), handle.read()) == (2_999_995, data[-5:])


def test_a_range_behind_the_end_is_an_error(root):
    storage.write_bytes(f"{root}/a", b"0123456789")
    assert ranges(f"{root}/a", [2], [10]) == [b"23456789"]
    with pytest.raises(OSError, match="/a: ends at byte 10, expected 11 or more"):
        ranges(f"{root}/a", [0, 2], [1, 11])


@pytest.mark.parametrize("piece", [1, 1000, 3_000_000])
def test_a_file_is_written_piece_by_piece(root, piece):
    data = os.urandom(3_000 if piece == 1 else 4_000_000)
    with storage.open_output(f"{root}/b/a") as output:
        for start in range(0, len(data), piece):
            output.sink.write(data[start : start + piece])
        assert listed(root) == [] or root.startswith("/")
        with output.reopened() as written:
            assert written.read() == data
    assert storage.read_bytes(f"{root}/b/a") == data
    assert listed(root) == [(f"{root}/b/a", len(data))]


@pytest.mark.parametrize("before", [[], [b"old"]])
def test_what_is_given_up_half_way_leaves_what_was_there(root, before):
    for data in before:
        storage.write_bytes(f"{root}/a", data)
    with contextlib.suppress(ZeroDivisionError), storage.open_output(f"{root}/a") as output:
        output.sink.write(b"new" * 1_000_000)
        raise ZeroDivisionError
    assert [storage.read_bytes(uri) for uri, _ in listed(root)] == before


def test_the_stamp_changes_with_the_content(safe):
    storage.write_bytes(f"{safe}/a", b"one")
    [(_, first)] = storage.list_files(safe)
    assert storage.info(f"{safe}/a") == first
    storage.write_bytes(f"{safe}/a", b"two")
    assert storage.info(f"{safe}/a").stamp != first.stamp


def test_folder_markers_are_no_files(s3, bucket):
    """Keys that end in a slash, as consoles make them; an empty object is a file all the same."""
    for key in ("docs/", "docs/empty/", "docs/full/", "docs/full/a.txt", "docs/nothing.txt"):
        s3.put(f"{bucket.removeprefix('s3:/')}/{key}")
    assert listed(f"{bucket}/docs") == [(f"{bucket}/docs/full/a.txt", 0), (f"{bucket}/docs/nothing.txt", 0)]
    assert listed(bucket) == listed(f"{bucket}/docs")


def test_requests_that_fail_are_tried_again(s3, bucket):
    with s3.failing(errors=0.2, slow=0.1, seconds=0.05, cut=0.1, seed=1):
        for i in range(10):
            storage.write_bytes(f"{bucket}/{i}", str(i).encode())
        found = [storage.read_bytes(uri) for uri, _ in storage.list_files(bucket)]
        seen = s3.seen()["counts"]
    assert found == [str(i).encode() for i in range(10)]
    assert min(seen[fate] for fate in ("errors", "cut", "passed")) > 0


def test_an_answer_that_is_lost_leaves_one_file(s3, bucket):
    with s3.failing(lost=0.5, seed=3):
        made = [storage.create_bytes(f"{bucket}/{i}", b"1") for i in range(6)]
        lost = s3.seen()["counts"]["lost"]
    assert listed(bucket) == [(f"{bucket}/{i}", 1) for i in range(6)]
    assert lost
    assert not all(made)


@pytest.mark.parametrize(
    ("uri", "said"),
    [("s3://nowhere-at-all/a", "s3://nowhere-at-all/a: not there"), ("s3:///a", "expected s3://bucket/key"),
     ("s3://b/a//c", "without empty"), ("s3://b/a/../c", "without empty")],
)  # fmt: skip
def test_what_is_wrong_with_a_uri_is_one_line(s3, uri, said):
    with pytest.raises((OSError, UsageError), match=said) as error:
        storage.read_bytes(uri)
    assert "\n" not in str(error.value)


def test_a_profile_of_the_clouds_own_files_is_used(s3, bucket, tmp_path):
    """By a process that has no keys in its environment."""
    (tmp_path / "credentials").write_text("[other]\naws_access_key_id = from-profile\naws_secret_access_key = x\n")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("AWS_") or k in ("AWS_ENDPOINT_URL",)}
    environment |= {"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"), "AWS_PROFILE": "other",
                    "AWS_REGION": "us-east-1", "PYTHONPATH": os.getcwd()}  # fmt: skip
    code = "import sys; from smart_jobs import schema; from smart_jobs.lake import layout, table\n"
    code += "lake = layout.create_lake(sys.argv[1])\n"
    code += "handle = table.open_table(lake.table_uri(schema.RUNS))\n"
    code += "table.commit(handle, table.Change([table.write_file(handle.table_uri.rstrip('/'), schema.RUNS, "
    code += "schema.RUNS.columns.empty_table())], [], {}, {})); print(len(table.read(handle, ['run_id'])))"
    with s3.failing():
        run = [sys.executable, "-c", code, f"{bucket}/lake"]
        done = subprocess.run(run, env=environment, capture_output=True, text=True)
        keys = s3.seen()["keys"]
    assert (done.stdout, keys) == ("0\n", ["from-profile"]), done.stderr


@given(st.lists(st.text(alphabet="ab", min_size=1), min_size=1, max_size=3), st.booleans())
def test_join_puts_single_slashes(parts, slash):
    assert storage.join("s3://b" + "/" * slash, *parts) == "s3://b/" + "/".join(parts)


@pytest.mark.parametrize(
    ("uri", "wanted"),
    [
        ("a", "{cwd}/a"),
        ("./a/", "{cwd}/a"),
        ("a/../b/./c", "{cwd}/b/c"),
        ("file:///x/a/", "/x/a"),
        ("file:///x/a#b?c", "/x/a#b?c"),
        ("/x//a", "/x/a"),
        ("/", "/"),
        ("~/a", "{home}/a"),
        ("s3://b/a/", "s3://b/a"),
        ("s3://b/a/../c", "s3://b/a/../c"),
    ],
)
def test_a_location_has_one_spelling(tmp_path, monkeypatch, uri, wanted):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/someone")
    spelled = storage.absolute(uri)
    assert spelled == wanted.format(cwd=tmp_path, home="/home/someone")
    assert storage.absolute(spelled) == spelled


def test_an_unknown_scheme_is_the_users_mistake():
    with pytest.raises(UsageError, match="nowhere://b/a: "):
        storage.exists("nowhere://b/a")
