"""Images and frames from a listing: their order, how many of them, and what stands for those that are not there."""

import random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_jobs import storage
from smart_jobs.decode import reading
from smart_jobs.evaluate.mmeb.media import Media, natural
from smart_jobs.records import Asset, AssetError, Attached


def frames(folder, names):
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_bytes(name.encode())


def shown(root, count, *, apart=False):
    files, size = Media(str(root), ["v"], apart=apart).frames("a", count)
    assert size == sum(storage.info(file.uri).size for file in files)
    assert all(file.stamp == storage.info(file.uri).stamp and file.media == "frame" for file in files)
    return [file.uri.removeprefix(f"{root}/v/a/") for file in files]


def test_frames_stand_in_natural_order(tmp_path):
    names = ["frame_2.JPG", "Frame_10.jpg", "frame_1.jpeg", "frame_03.png", "a9.jpg"]
    frames(tmp_path / "v" / "a", [*names, "notes.txt", "x.webp"])
    (tmp_path / "v" / "a" / "deeper.jpg").mkdir()
    assert shown(tmp_path, None) == ["a9.jpg", "frame_1.jpeg", "frame_2.JPG", "frame_03.png", "Frame_10.jpg"]


@pytest.mark.parametrize(("there", "count"), [(3, 8), (8, 8), (9, 8), (65, 64), (64, 64), (100, 8), (5, 1), (5, None)])
def test_frames_are_spread_evenly_where_there_are_more(tmp_path, there, count):
    names = [f"{i}.jpg" for i in range(there)]
    frames(tmp_path / "v" / "a", names)
    wanted = names if count is None or count > there else [names[int(i)] for i in np.linspace(0, there - 1, count)]
    assert shown(tmp_path, count) == wanted
    assert shown(tmp_path, count, apart=True) == wanted


@given(st.lists(st.text("aB_.0123456789", min_size=1, max_size=6), max_size=8))
def test_natural_order_is_of_numbers_and_words(names):
    ordered = sorted(names, key=natural)
    assert sorted(ordered, key=natural) == ordered
    assert sorted(map(str.swapcase, names), key=natural) == sorted(map(str.swapcase, ordered), key=natural)
    numbers = random.Random(0).sample(range(10**6), 20)
    assert sorted((f"a{n}" for n in numbers), key=natural) == [f"a{n}" for n in sorted(numbers)]


@pytest.mark.parametrize("there", ["nothing", "folder", "text"])
def test_a_video_without_frames_surely_fails_when_it_is_read(tmp_path, there):
    (tmp_path / "v").mkdir()
    if there != "nothing":
        frames(tmp_path / "v" / "a", ["readme.txt"] if there == "text" else [])
    files, size = Media(str(tmp_path), ["v"], apart=False).frames("a", 8)
    assert (files, size) == ((Attached(f"{tmp_path}/v/a", "frame", ""),), 0)
    with pytest.raises(AssetError, match="read_error"):
        reading.read(Asset("eval:1", "evaluation", "1+2", "row", 0, text="said", files=files), files=True)


def test_an_image_by_its_path(tmp_path):
    for name in ("a/1.jpg", "a/b/2.jpg", "3.jpg"):
        (tmp_path / "v" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "v" / name).write_bytes(b"1234")
    for apart in (True, False):
        media = Media(str(tmp_path), ["v"], apart=apart)
        for name in ("a/1.jpg", "a/b/2.jpg", "3.jpg"):
            uri = f"{tmp_path}/v/{name}"
            assert media.image(name) == ((Attached(uri, "image", storage.info(uri).stamp),), 4)
        for name in ("a/2.jpg", "b/1.jpg", "4.jpg"):
            assert media.image(name) == ((Attached(f"{tmp_path}/v/{name}", "image", ""),), 0)


def test_an_image_that_only_a_parquet_file_has(tmp_path):
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "1.png").write_bytes(b"1234")
    table = str(tmp_path / "a.parquet")
    pq.write_table(pa.table({"image": [{"bytes": b"x" * 100}] * 2}), table)
    media = Media(str(tmp_path), ["v"], apart=False)
    info = storage.info(table)
    assert media.image("2.png", (table, "image", 1)) == (
        (Attached(f"{table}#image/1", "image", info.stamp),), info.size // 2
    )  # fmt: skip
    [file], _ = media.image("1.png", (table, "image", 0))
    assert file.uri == f"{tmp_path}/v/1.png"


def test_the_first_place_that_is_there(tmp_path):
    places = ["one", "two", "three"]
    assert Media(str(tmp_path), places, apart=False).place == "one"
    (tmp_path / "three").mkdir()
    assert Media(str(tmp_path), places, apart=False).place == "three"
    (tmp_path / "two").mkdir()
    assert Media(str(tmp_path), places, apart=False).place == "two"


def test_folders_are_those_without_files_too(tmp_path):
    for name in ("clip_10", "clip_2", "Clip_1"):
        (tmp_path / "v" / "a" / name).mkdir(parents=True)
    (tmp_path / "v" / "a" / "file").write_text("")
    assert Media(str(tmp_path), ["v"], apart=False).folders("a") == ["Clip_1", "clip_2", "clip_10"]
    assert Media(str(tmp_path), ["v"], apart=False).folders("b") == []
