"""Small pictures for a report: of the right file, upright, small; none for what cannot be seen."""

import io

import pytest
from PIL import Image

from smart_jobs import storage
from smart_jobs.flow.thumbnails import Thumbnails
from smart_jobs.keys import Decode
from smart_jobs.records import Attached


@pytest.fixture(scope="module")
def thumbnails():
    return Thumbnails(Decode())


def attached(path, media="image", colour=None, size=(640, 320)):
    if colour is not None:
        Image.new("RGB", size, colour).save(path)
    return Attached(str(path), media, storage.info(str(path)).stamp if path.exists() else "")


def seen(data):
    image = Image.open(io.BytesIO(data))
    assert image.format == "JPEG"
    return image.size, image.convert("RGB").getpixel((image.width // 2, image.height // 2))


def near(one, other):
    return all(abs(a - b) < 8 for a, b in zip(one, other, strict=True))


def test_an_image_becomes_small_and_keeps_its_shape(tmp_path, thumbnails):
    (width, height), colour = seen(thumbnails.of([attached(tmp_path / "a.png", colour=(200, 30, 40))]))
    assert width * height <= 160 * 160
    assert abs(width / height - 2) < 0.05
    assert near(colour, (200, 30, 40))


def test_of_frames_the_middle_one_is_shown(tmp_path, thumbnails):
    frames = [attached(tmp_path / f"{i}.png", "frame", (80 * i, 0, 0)) for i in range(3)]
    assert near(seen(thumbnails.of(frames))[1], (80, 0, 0))


def test_what_cannot_be_seen_has_none(tmp_path, thumbnails):
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    assert thumbnails.of([]) is None
    assert thumbnails.of([attached(tmp_path / "gone.png")]) is None
    assert thumbnails.of([attached(tmp_path / "bad.png")]) is None
    assert thumbnails.of([attached(tmp_path / "good.png", colour=(0, 90, 0))]) is not None
