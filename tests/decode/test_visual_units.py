"""Units that carry pixels, against what a decoder of made-up images gives; PDFs with the real one."""

import os

import numpy as np
import pyarrow as pa
import pymupdf
import pytest
from decoding import parts, seen
from hypothesis import given, settings
from hypothesis import strategies as st

from smart_jobs import media, sampling, sources, storage, wire
from smart_jobs.decode import cutting, units
from smart_jobs.decode.opening import Wanted
from smart_jobs.decode.parts import Part
from smart_jobs.keys import Columns, Source
from smart_jobs.records import (
    Asset,
    AssetError,
    Planned,
    Visual,
    content_key,
    content_version,
    partial_version,
    segment_id,
    text_digest,
)


def made(data, wanted):
    """Parts as the content says, e.g. `image 1x32x64 7; video 4x32x32 9`: kind, shape, what every pixel is."""
    for number, said in enumerate(data.decode().split(";")):
        if said.strip() in ("timeout", "damaged"):
            yield AssetError(said.strip(), "said so", "decode")
            continue
        kind, shape, value = said.split()
        frames, height, width = map(int, shape.split("x"))
        times = tuple(float(number + i) for i in range(frames)) if kind == "video" else ()
        pixels = np.full((frames, height, width, 3), int(value), np.uint8)
        yield Part(visuals=(Visual(kind, pixels, times),), start=float(number), end=number + 1.0)


def policy(**changed):
    given = {"spec": "0123456789ab", "run_id": "run", "text_long": "auto", "max_length": 10**5, "unit_tokens": 10**6}
    given |= {"split": lambda text, _side, _instruction: text.split(), "parts": made, "sampling": seen()}
    return cutting.Policy(**{**given, **changed})


def listed(path, content=None):
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    info = storage.info(str(path))
    return Asset(str(path), "s", info.stamp, media.media_of(str(path)), info.size, title=path.name)


def cut(assets, **changed):
    """The units of these assets; their segments; their failures; their own rows."""
    planned = [item if isinstance(item, Planned) else Planned(item) for item in assets]
    tables = list(units.units(planned, policy(**changed)))
    assert all(table.schema.equals(wire.UNIT) and table.num_rows == 1 for table in tables)
    rows = [[row for table in tables for row in table[name][0].as_py()] for name in ("failures", "assets", "copies")]
    return tables, [segment for table in tables for segment in units.segments(table)], *rows


def shapes(segment):
    return [(item.kind, item.pixels.shape[:3], item.times, int(item.pixels.max())) for item in segment.visuals]


def plain(visual):
    return (visual.kind, visual.times, visual.pixels.tolist())


# Pixels arrive


@pytest.mark.parametrize("page_as", ["image", "both"])
def test_pages_arrive_as_they_were_drawn(tmp_path, page_as):
    document = pymupdf.open()
    for text in ("first page", "", "third"):
        document.new_page(width=300, height=200).insert_text((20, 50), text)
    asset = listed(tmp_path / "a.pdf", document.tobytes())
    _, segments, failures, _, _ = cut([asset], parts=parts, sampling=seen(page_as))
    drawn = list(parts(document.tobytes(), Wanted("a.pdf", "document", seen(page_as))))
    version = content_version((tmp_path / "a.pdf").read_bytes())
    assert [(s.segment_id, s.ordinal, s.of, s.page, s.text) for s in segments] == [
        (segment_id(asset.uri, version, i), i, 3, i + 1, part.text) for i, part in enumerate(drawn)
    ]
    assert [list(map(plain, s.visuals)) for s in segments] == [list(map(plain, part.visuals)) for part in drawn]
    assert failures == []


def test_clips_say_when_they_are(tmp_path):
    asset = listed(tmp_path / "a.mp4", "video 4x32x32 1; video 2x32x64 2")
    _, segments, _, [row], _ = cut([asset])
    assert [(s.media, s.page, s.start, s.end, shapes(s)) for s in segments] == [
        ("video", None, 0.0, 1.0, [("video", (4, 32, 32), (0.0, 1.0, 2.0, 3.0), 1)]),
        ("video", None, 1.0, 2.0, [("video", (2, 32, 64), (1.0, 2.0), 2)]),
    ]
    assert row["media"] == "video"


visual = st.tuples(st.sampled_from(["image", "video"]), st.integers(1, 4), st.integers(1, 4), st.integers(1, 4))


@given(st.lists(st.lists(visual, min_size=1, max_size=4), max_size=5), st.integers(1, 40))
@settings(max_examples=40, deadline=None)
def test_every_pixel_is_in_the_unit_of_its_segment(tmp_path_factory, files, unit_tokens):
    folder, value, assets, wanted = tmp_path_factory.mktemp("files"), 0, [], []
    for i, visuals in enumerate(files):
        said = []
        for kind, frames, height, width in visuals:
            value, frames = (value + 1) % 256, frames if kind == "video" else 1
            said.append(f"{kind} {frames}x{32 * height}x{32 * width} {value}")
            wanted.append((kind, (frames, 32 * height, 32 * width), value, height * width * -(-frames // 2)))
        assets.append(listed(folder / f"{i}.png", ";".join(said)))
    tables, segments, *_ = cut(assets, unit_tokens=unit_tokens)
    assert [(s[0], s[1], s[3]) for segment in segments for s in shapes(segment)] == [item[:3] for item in wanted]
    assert all((v.pixels == v.pixels.max()).all() for s in segments for v in s.visuals)
    tokens, counts = [item[3] + 2 for item in wanted], [len(units.segments(table)) for table in tables]
    ends = np.cumsum(counts)
    per_unit = [tokens[end - count : end] for count, end in zip(counts, ends, strict=True)]
    assert all(sum(unit) >= unit_tokens > sum(unit[:-1]) for unit in per_unit[:-1])
    assert all(sum(unit[:-1]) < unit_tokens for unit in per_unit)


def test_tokens_are_estimated_from_sizes(tmp_path):
    asset = listed(tmp_path / "a.mp4", "video 4x64x96 1; image 1x64x96 1")
    _, (video, image), *_ = cut([asset])
    assert units.estimated(video, policy()) == 2 * 2 * 3 + 2 == sampling.tokens(64, 96, 32, 4, 2) + 2
    assert units.estimated(image, policy()) == 2 * 3 + 2
    assert units.estimated(video, policy(max_length=9)) == 9


def test_a_unit_is_full_at_so_many_bytes_of_pixels(tmp_path):
    assets = [listed(tmp_path / f"{i}.png", f"image 1x5600x5600 {i}") for i in range(4)]
    assert 2 * 3 * 5600**2 < units.PIXELS < 3 * 3 * 5600**2
    found = [[shapes(s)[0][3] for s in units.segments(table)] for table in units.units(map(Planned, assets), policy())]
    assert found == [[0, 1, 2], [3]]


def test_pixels_are_read_where_they_lie(tmp_path):
    """After a journey between processes, beside another unit, and without a copy."""
    [table], [segment], *_ = cut([listed(tmp_path / "a.png", "image 1x640x640 7")])
    [other], _, *_ = cut([listed(tmp_path / "b.png", "image 1x64x32 3; image 1x32x32 4")])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, wire.UNIT) as writer:
        writer.write_table(pa.concat_tables([other, table]).combine_chunks())
    received = pa.ipc.open_stream(sink.getvalue()).read_all()
    before = pa.total_allocated_bytes()
    [again] = units.segments(received.slice(1, 1))
    assert pa.total_allocated_bytes() - before < 64 * 1024
    assert (again.segment_id, shapes(again)) == (segment.segment_id, shapes(segment))
    start, end = sink.getvalue().address, sink.getvalue().address + sink.getvalue().size
    assert start <= again.visuals[0].pixels.ctypes.data < end
    assert not again.visuals[0].pixels.flags.writeable
    assert [shapes(s)[0][3] for s in units.segments(received.slice(0, 1))] == [3, 4]


def test_a_unit_without_pixels_has_none(tmp_path):
    tables, [segment], *_ = cut([listed(tmp_path / "a.txt", "word")], sampling=None)
    assert (segment.visuals, tables[0]["pixels"].to_pylist()) == ((), [[]])
    assert units.segments(tables[0].set_column(2, wire.UNIT.field(2), pa.nulls(1, wire.UNIT.field(2).type)))


# What is missing, what is known


def test_only_what_is_missing_is_cut(tmp_path):
    content = "image 1x32x32 1; image 1x32x32 2; damaged; image 1x32x32 4"
    asset = listed(tmp_path / "a.tif", content)
    version = content_version(content.encode())
    _, segments, failures, *_ = cut([Planned(asset, partial={version: frozenset({0, 2})})])
    assert [(s.ordinal, s.of, shapes(s)[0][3]) for s in segments] == [(1, 4, 2), (3, 4, 4)]
    assert failures == []
    _, segments, failures, *_ = cut([Planned(asset, complete=frozenset({version}))])
    assert (segments, failures) == ([], [])


def test_a_clip_that_may_yet_come_makes_another_version(tmp_path):
    content = "video 2x32x32 1; timeout; video 2x32x32 3"
    _, segments, [failure], [row], _ = cut([listed(tmp_path / "a.mp4", content)])
    version = partial_version(content_version(content.encode()), [1])
    assert {s.version for s in segments} | {failure["version"], row["version"]} == {version}
    assert (failure["reason"], failure["ordinal"], failure["of"]) == ("timeout", 1, 3)


@pytest.mark.parametrize("name", ["a.png", "a.mp4"])
def test_known_content_under_another_name_is_copied(tmp_path, name):
    content = "image 1x32x32 1"
    key = content_key(content_version(content.encode()), media.media_of(name), f"elsewhere/{name}")
    contents = np.array([key], np.uint64)
    _, segments, failures, [row], [copy] = cut([listed(tmp_path / f"new-{name}", content)], contents=contents)
    assert (segments, failures, copy["asset"]["uri"]) == ([], [], str(tmp_path / f"new-{name}"))
    assert copy["version"] == row["version"] == content_version(content.encode())
    _, segments, *_, copies = cut([listed(tmp_path / "a.webp", content)], contents=contents)
    assert (len(segments), copies) == (1, [])


def test_a_name_that_says_nothing_is_known_by_its_content(tmp_path):
    buffer = pymupdf.Pixmap(pymupdf.csRGB, pymupdf.IRect(0, 0, 20, 20), False).tobytes("png")
    wanted = []

    def one(data, asked):
        wanted.append((data, asked.media))
        return made(b"image 1x32x32 1", asked)

    asset = listed(tmp_path / "000123", buffer)
    _, [segment], _, [row], _ = cut([asset], parts=one)
    assert (asset.media, wanted, segment.media, row["media"]) == ("document", [(buffer, "image")], "image", "image")
    contents = np.array([content_key(content_version(buffer), "image", "0009")], np.uint64)
    *_, [copy] = cut([asset], contents=contents, parts=one)
    assert copy["asset"]["media"] == "image"


@pytest.mark.parametrize(("name", "encoder"), [("a.png", None), ("a.mp4", None), ("a.mp4", seen(video=False))])
def test_what_the_encoder_does_not_take_is_not_read(tmp_path, name, encoder):
    asset = listed(tmp_path / name, "image 1x32x32 1")
    (tmp_path / name).unlink()
    _, segments, [failure], [row], _ = cut([asset], sampling=encoder)
    assert (segments, failure["reason"], failure["spec"]) == ([], "unsupported", "0123456789ab")
    assert failure["version"] == row["version"] == f"stamp:{asset.stamp}"


# Rows with files


def rows_of(folder, *rows):
    """The assets of a table of (id, text, image)."""
    lines = [f'{{"id": "{name}", "text": "{text}", "image": "{image}"}}' for name, text, image in rows]
    (folder / "t.jsonl").write_text("\n".join(lines))
    return list(sources.assets(Source(name="s", uri=(str(folder / "t.jsonl"),), columns=Columns(image="image"))))


def test_a_row_and_its_image_are_one_segment(tmp_path):
    (tmp_path / "i").mkdir()
    listed(tmp_path / "i" / "a.png", "image 1x32x64 5")
    [asset, bare] = rows_of(tmp_path, ("a", "a caption", "i/a.png"), ("b", "only words", ""))
    _, segments, failures, rows, _ = cut([asset, bare])
    assert [(s.uri, s.media, s.text, s.ordinal, s.of, shapes(s)) for s in segments] == [
        (asset.uri, "row", "a caption", 0, 1, [("image", (1, 32, 64), (), 5)]),
        (bare.uri, "row", "only words", 0, 1, []),
    ]
    said = sources.said_by(asset)
    bytes_of = content_version((tmp_path / "i" / "a.png").read_bytes())
    assert [row["version"] for row in rows] == [text_digest(said, "image", bytes_of), bare.stamp]
    assert failures == []


def test_another_image_under_the_same_name_is_another_version(tmp_path):
    versions, stamps = [], []
    for content, when in (("image 1x32x32 1", 5), ("image 1x32x32 1", 6), ("image 1x32x32 2", 6)):
        listed(tmp_path / "a.png", content)
        os.utime(tmp_path / "a.png", ns=(when, when))
        [asset] = rows_of(tmp_path, ("a", "words", "a.png"))
        stamps.append(asset.stamp)
        versions.append(cut([asset])[1][0].version)
        os.utime(tmp_path / "a.png", ns=(when, when + 1))
        [failure] = cut([asset])[2]
        assert (failure["reason"], failure["version"]) == ("changed", f"stamp:{asset.stamp}")
    assert (versions[0] == versions[1], versions[1] == versions[2]) == (True, False)
    assert stamps[0] != stamps[1]


@pytest.mark.parametrize("path", ["missing.png", "nowhere://bucket/a.png", "/no/such/folder/a.png"])
def test_a_row_without_its_image_is_a_failure_and_costs_no_other(tmp_path, path):
    listed(tmp_path / "a.png", "image 1x32x32 5")
    assets = rows_of(tmp_path, ("a", "first", "a.png"), ("b", "second", path), ("c", "third", "a.png"))
    _, segments, [failure], rows, _ = cut(assets)
    assert [(s.text, shapes(s)[0][3]) for s in segments] == [("first", 5), ("third", 5)]
    assert (failure["uri"], failure["reason"], failure["step"]) == (assets[1].uri, "read_error", "read")
    assert failure["version"] == rows[1]["version"] == f"stamp:{assets[1].stamp}"
    assert failure["spec"] == "0123456789ab"


def test_a_row_whose_image_cannot_be_decoded_fails_as_a_whole(tmp_path):
    listed(tmp_path / "a.png", "damaged")
    [asset] = rows_of(tmp_path, ("a", "words", "a.png"))
    _, segments, [failure], [row], _ = cut([asset])
    assert (segments, failure["reason"], failure["ordinal"]) == ([], "damaged", None)
    assert failure["version"] == row["version"]


def test_a_text_encoder_reads_the_words_of_a_row_alone(tmp_path):
    [asset] = rows_of(tmp_path, ("a", "some words", "missing.png"))
    _, [segment], failures, [row], _ = cut([asset], sampling=None)
    assert (segment.text, segment.visuals, failures) == ("some words", (), [])
    assert row["version"] == segment.version == text_digest("", "some words", "{}")


def test_a_row_seen_elsewhere_is_copied_where_its_image_is_the_same(tmp_path):
    listed(tmp_path / "a.png", "image 1x32x32 5")
    listed(tmp_path / "b.png", "image 1x32x32 5")
    listed(tmp_path / "c.png", "image 1x32x32 6")
    first, same, other = rows_of(tmp_path, ("a", "words", "a.png"), ("b", "words", "b.png"), ("c", "words", "c.png"))
    version = cut([first])[1][0].version
    contents = np.array([content_key(version, "row", "t#a")], np.uint64)
    _, [segment], _, _, [copy] = cut([same, other], contents=contents)
    assert (copy["asset"]["uri"], copy["version"], segment.uri) == (same.uri, version, other.uri)
