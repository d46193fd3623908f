"""Bytes behind a URI, on disk and in fsspec's memory://."""

import uuid

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import fs as pafs

from smart_jobs import storage
from smart_jobs.records import UsageError


@pytest.fixture(params=["disk", "memory"])
def root(request, tmp_path):
    """A folder that is not there yet."""
    if request.param == "disk":
        yield f"{tmp_path}/new"
        return
    uri = f"memory://{uuid.uuid4().hex}"
    yield uri
    fs, path = fsspec.core.url_to_fs(uri)
    if fs.exists(path):
        fs.rm(path, recursive=True)


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


class FullDisk:
    """The local filesystem, until half of the data is written."""

    def __init__(self):
        self.opened = []

    def create_dir(self, path, *, recursive):
        pafs.LocalFileSystem().create_dir(path, recursive=recursive)

    def open_output_stream(self, path):
        self.opened.append(path)
        return HalfWritten(path)


class HalfWritten:
    def __init__(self, path):
        self.handle = pafs.LocalFileSystem().open_output_stream(path)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.handle.close()

    def write(self, data):
        self.handle.write(data[: len(data) // 2])
        raise OSError("no space left")


@pytest.mark.parametrize("before", [None, b"old content"])
def test_a_write_that_fails_half_way_leaves_what_was_there(tmp_path, monkeypatch, before):
    target = tmp_path / "a.bin"
    if before is not None:
        target.write_bytes(before)
    disk = FullDisk()
    monkeypatch.setattr(storage, "filesystem", lambda uri: (disk, uri))
    with pytest.raises(OSError, match="no space left"):
        storage.write_bytes(str(target), b"new content")
    assert (target.read_bytes() if target.exists() else None) == before
    assert disk.opened != [str(target)]
    assert list(tmp_path.glob("*")) == ([target] if before else [])


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
