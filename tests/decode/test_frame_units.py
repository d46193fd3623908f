"""Rows of a benchmark as units: frames that are one video, blank texts, and what is missing of them."""

import io
import os
from dataclasses import replace

import numpy as np
import pytest
from decoding import parts, seen
from PIL import Image

from smart_jobs import config, storage, wire
from smart_jobs.decode import cutting, units
from smart_jobs.decode.sandbox import Sandbox
from smart_jobs.evaluate.tasks import Item
from smart_jobs.flow import actors, stream
from smart_jobs.keys import Decode
from smart_jobs.records import Attached, Planned, content_key, content_version, text_digest
from smart_jobs.settings import Search


def policy(**changed):
    given = {"spec": "0123456789ab", "run_id": "run", "text_long": "auto", "max_length": 10**5, "unit_tokens": 10**6}
    given |= {"split": lambda text, _side, _instruction: text.split(), "parts": parts, "sampling": seen()}
    return cutting.Policy(**{**given, **changed})


def write_frames(folder, count, seed=0):
    """Picture files, and their names."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"frame_{i:04d}.png" for i in range(count)]
    for i, path in enumerate(paths):
        pixels = np.random.default_rng(seed + i).integers(0, 256, (64, 96, 3), np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "png")
        path.write_bytes(buffer.getvalue())
    return paths


def item(paths, media="frame", **said):
    files = tuple(Attached(str(path), media, storage.info(str(path)).stamp) for path in paths)
    return Item(files=files, **said)


def asset(asked, side="document", root="/"):
    """As a run sends it: through the planned schema."""
    [block] = stream.blocks([Planned(asked.asset(side, root))], 10**6)
    assert block.schema.equals(wire.PLANNED)
    return actors.planned(block.to_pylist()[0]).asset


def cut(assets, **changed):
    """Segments, failures, rows of assets and copies of all units."""
    made = list(units.units([Planned(each) for each in assets], policy(**changed)))
    rows = [[row for unit in made for row in unit[name][0].as_py()] for name in ("failures", "assets", "copies")]
    return [segment for unit in made for segment in units.segments(unit)], *rows


# Frames


def test_frames_and_a_text_are_one_segment(tmp_path):
    paths = write_frames(tmp_path, 3)
    asked = asset(item(paths, text=" what? \n", instruction="find "), "query")
    [segment], failures, [row], _ = cut([asked])
    [video] = segment.visuals
    assert (segment.text, segment.instruction, segment.side) == (" what? \n", "find ", "query")
    assert (segment.media, segment.ordinal, segment.of, segment.start, segment.end) == ("row", 0, 1, None, None)
    assert (video.kind, video.pixels.shape, video.times) == ("video", (4, 64, 96, 3), (0.0, 0.5, 1.0, 1.5))
    seen_of = [part for path in paths for part in ("frame", content_version(path.read_bytes()))]
    said = text_digest(" what? \n", "find ", "query")
    assert row["version"] == segment.version == text_digest(said, *seen_of)
    assert failures == []


def test_a_sandbox_decodes_many_rows_in_one_process(tmp_path):
    assets = [asset(item(write_frames(tmp_path / str(i), 20, i * 100), text=str(i))) for i in range(5)]
    sandbox = Sandbox(Decode())
    ours, theirs = cut(assets)[0], cut(assets, parts=sandbox.parts)[0]
    assert [segment.text for segment in theirs] == list("01234")
    for one, other in zip(ours, theirs, strict=True):
        assert one.visuals[0].times == other.visuals[0].times == (0.0, 0.5, 1.0, 1.5)
        assert (one.visuals[0].pixels == other.visuals[0].pixels).all()
    assert sandbox._served == 5


@pytest.mark.parametrize(("count", "middle"), [(1, 0), (2, 1), (5, 2), (64, 32)])
def test_gme_sees_the_middle_frame_as_an_image(tmp_path, count, middle):
    given = config.load(Search, "search", ["query=a", "encoder=gme-qwen2-vl-2b"]).encoder.sampling
    paths = write_frames(tmp_path, count)
    video, still = asset(item(paths, text="t")), asset(item([paths[middle]], "image", text="t"))
    one, other = cut([video, still], sampling=given)[0]
    [shown], [wanted] = one.visuals, other.visuals
    assert (shown.kind, shown.times, one.text) == ("image", (), "t")
    np.testing.assert_array_equal(shown.pixels, wanted.pixels)


@pytest.mark.parametrize("parts_of", ["here", "sandbox"])
def test_a_bad_frame_is_one_failure_and_costs_no_other(tmp_path, parts_of):
    paths = write_frames(tmp_path, 4)
    other = write_frames(tmp_path / "other", 2, 50)
    paths[2].write_bytes(paths[2].read_bytes()[:900])
    assets = [asset(item(other, text="a")), asset(item(paths, text="b")), asset(item(other, text="c"))]
    decoded = parts if parts_of == "here" else Sandbox(Decode()).parts
    segments, [failure], rows, _ = cut(assets, parts=decoded)
    assert [segment.text for segment in segments] == ["a", "c"]
    assert (failure["uri"], failure["reason"], failure["ordinal"]) == (assets[1].uri, "damaged", None)
    assert failure["detail"].startswith(f"{paths[2]}: ")
    assert failure["version"] == rows[1]["version"]


@pytest.mark.parametrize("gone", ["before it was listed", "after it was listed"])
@pytest.mark.parametrize("text", ["", "words"])
def test_a_missing_frame_is_a_failure_that_names_it_and_never_a_text(tmp_path, gone, text):
    paths = write_frames(tmp_path, 3)
    asked = item(paths, text=text)
    paths[1].unlink()
    if gone == "before it was listed":
        asked = item(paths, text=text)
        assert asked.files[1].stamp == ""
    segments, [failure], *_ = cut([asset(asked)])
    assert (segments, failure["reason"], failure["step"]) == ([], "read_error", "read")
    assert str(paths[1]) in failure["detail"]


def test_a_frame_that_came_after_it_was_listed_is_a_failure(tmp_path):
    paths = write_frames(tmp_path, 2)
    content = paths[0].read_bytes()
    paths[0].unlink()
    asked = item(paths)
    paths[0].write_bytes(content)
    segments, [failure], *_ = cut([asset(asked)])
    assert (segments, failure["reason"]) == ([], "changed")
    assert "was listed as missing" in failure["detail"]


def test_frames_are_refused_before_they_are_read(tmp_path):
    paths = write_frames(tmp_path, 2)
    asked = asset(item(paths, text="words"))
    for path in paths:
        path.unlink()
    segments, [failure], [row], _ = cut([asked], sampling=seen(video=False))
    assert (segments, failure["reason"], failure["detail"]) == ([], "unsupported", "this encoder takes no videos")
    assert failure["version"] == row["version"] == f"stamp:{asked.stamp}"


def test_a_text_encoder_reads_the_words_alone_and_has_nothing_without(tmp_path):
    paths = write_frames(tmp_path, 2)
    segments, [failure], *_ = cut([asset(item(paths, text="words")), asset(item(paths))], sampling=None)
    assert [(segment.text, segment.visuals) for segment in segments] == [("words", ())]
    assert failure["reason"] == "empty"


def test_the_same_frames_under_other_names_are_copied_and_in_another_order_are_not(tmp_path):
    paths = write_frames(tmp_path / "a", 3)
    others = write_frames(tmp_path / "b", 3)
    [first], *_ = cut([asset(item(paths, text="t"))])
    contents = np.array([content_key(first.version, "row", "eval:x")], np.uint64)
    same, turned = asset(item(others, text="t")), asset(item(others[::-1], text="t"))
    still, asked = asset(item(others, "image", text="t")), asset(item(others, text="t"), "query")
    assert len({same.uri, turned.uri, still.uri, asked.uri, first.uri}) == 5
    segments, _, _, [copy] = cut([same, turned, still, asked], contents=contents)
    assert (copy["asset"]["uri"], copy["version"]) == (same.uri, first.version)
    assert copy["asset"]["verbatim"] is True
    assert [segment.uri for segment in segments] == [turned.uri, still.uri, asked.uri]


def test_touched_frames_are_another_stamp_and_the_same_version(tmp_path):
    paths = write_frames(tmp_path, 2)
    before = asset(item(paths))
    assert asset(item(paths)) == before
    [segment], *_ = cut([before])
    os.utime(paths[1], ns=(1, 1))
    after = asset(item(paths))
    assert (after.uri, after.stamp == before.stamp) == (before.uri, False)
    assert cut([after])[0][0].version == segment.version


# Texts


@pytest.mark.parametrize("text", ["", " ", "\n\t", " a", "a\n", "\n a \n b "])
@pytest.mark.parametrize("sampling", [None, seen()])
def test_a_text_goes_in_as_it_stands_be_it_blank(text, sampling):
    asked = asset(Item(text=text))
    [segment], failures, [row], _ = cut([asked], sampling=sampling)
    assert (segment.text, segment.visuals, failures) == (text, (), [])
    assert row["version"] == segment.version == asked.stamp == text_digest(text, "", "document")


def test_texts_that_differ_in_white_space_are_two():
    assert len({asset(Item(text=text)).id for text in ("", " ", "a", "a ", " a", "a\n")}) == 6
    titled = asset(Item(text=" b ", title="a"))
    assert cut([titled])[0][0].text == titled.words == "a  b"


def test_an_ordinary_row_that_is_blank_is_empty_and_loses_its_edges():
    plain = [replace(asset(Item(text=text)), uri=f"t#{text!r}", verbatim=False) for text in ("", " \n", " a ")]
    segments, failures, *_ = cut(plain)
    assert [segment.text for segment in segments] == ["a"]
    assert [failure["reason"] for failure in failures] == ["empty", "empty"]
