"""Segments cut once more: those of a first cut, from the part that each is of, and what has changed since."""

from dataclasses import replace

import numpy as np
import pymupdf
import pytest
from decoding import seen
from PIL import Image
from video_making import video

from smart_jobs import storage
from smart_jobs.decode import again, cutting
from smart_jobs.decode.cutting import Policy
from smart_jobs.decode.sandbox import Sandbox
from smart_jobs.keys import Decode
from smart_jobs.media import media_of
from smart_jobs.records import Asset, AssetError, Planned, Segment

EXCERPT = 12
"""As a lake keeps only the beginning of a text."""


def in_words(text, side, instruction):
    """Passages of three words."""
    words = text.split()
    return [" ".join(words[i : i + 3]) for i in range(0, len(words), 3)]


def policy(parts, sampling=None):
    return Policy("spec", "run", "auto", 100, 100, in_words, parts, sampling=sampling)


@pytest.fixture(scope="module")
def sandbox():
    return Sandbox(Decode())


def document(path, texts):
    made = pymupdf.open()
    for text in texts:
        made.new_page().insert_text((72, 72), text)
    made.save(path)
    return path


def asset(path):
    info = storage.info(str(path))
    return Asset(str(path), "s", info.stamp, media_of(str(path)), info.size)


def cut(path, sandbox, sampling=None):
    found = cutting.cut(Planned(asset(path)), policy(sandbox.parts, sampling))
    return [part for part in found if isinstance(part, Segment)]


def stored(segment):
    """What a lake has of it."""
    return replace(segment, text=segment.text[:EXCERPT], visuals=())


def same(found, segment):
    assert replace(found, visuals=()) == replace(segment, visuals=())
    assert len(found.visuals) == len(segment.visuals)
    for one, other in zip(found.visuals, segment.visuals, strict=True):
        assert (one.kind, one.times) == (other.kind, other.times)
        np.testing.assert_array_equal(one.pixels, other.pixels)


def test_passages_of_pages_come_from_their_page_alone(tmp_path, sandbox):
    """The third page says what the first does; the second has four passages, two of which begin alike."""
    path = document(tmp_path / "a.pdf", ["some words here and more", "abcdefghijkl mnop 1 abcdefghijkl mnop 22 a b c d",
                                        "some words here and more"])  # fmt: skip
    segments = cut(path, sandbox)
    assert len(segments) == 2 + 4 + 2
    for segment in segments:
        parts = again.one_part(sandbox, segment.page - 1)
        found = again.segment(asset(path), stored(segment), policy(parts))
        if segment.text.startswith("abcdefghijkl mnop 22"):
            assert found.text == "abcdefghijkl mnop 1", "of two that begin alike, the shorter"
        else:
            same(found, segment)


def test_passages_of_a_text_go_by_their_ordinal(tmp_path, sandbox):
    path = tmp_path / "a.txt"
    path.write_text("abcdefghijkl mnop 1 abcdefghijkl mnop 22 abcdefghijkl mnop 333")
    for segment in cut(path, sandbox):
        same(again.segment(asset(path), stored(segment), policy(again.one_part(sandbox, 0))), segment)


def test_pages_images_and_clips_have_the_pixels_that_they_had(tmp_path, sandbox):
    document(tmp_path / "a.pdf", ["one", "two", "three"])
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)).save(tmp_path / "b.png")
    (tmp_path / "c.mp4").write_bytes(video(range(60)))
    sampling = seen("both")
    sampling = sampling.model_copy(update={"video": sampling.video.model_copy(update={"clip_seconds": 2.0})})
    for name, count in (("a.pdf", 3), ("b.png", 1), ("c.mp4", 3)):
        segments = cut(tmp_path / name, sandbox, sampling)
        assert len(segments) == count
        for part, segment in enumerate(segments):
            one = policy(again.one_part(sandbox, part), sampling)
            same(again.segment(asset(tmp_path / name), stored(segment), one), segment)


def test_a_source_that_has_changed_is_said(tmp_path, sandbox):
    path = tmp_path / "a.txt"
    path.write_text("one two three four")
    segment = stored(cut(path, sandbox)[0])
    path.write_text("one two three five")
    with pytest.raises(AssetError, match=f"changed: {path} is not what it was when it was encoded"):
        again.segment(asset(path), segment, policy(again.one_part(sandbox, 0)))


def test_a_part_that_cannot_be_read_any_more_says_why(tmp_path, sandbox):
    path = document(tmp_path / "a.pdf", ["one two", "three"])
    segment = stored(cut(path, sandbox)[0])
    with pytest.raises(AssetError, match=r"changed: .* is cut into other segments than it was"):
        again.segment(asset(path), segment, policy(again.one_part(sandbox, 1)))
    failing = policy(lambda _content, _wanted: iter([AssetError("timeout", "not done after 30 s", "decode")]))
    with pytest.raises(AssetError, match="timeout: not done after 30 s"):
        again.segment(asset(path), segment, failing)
