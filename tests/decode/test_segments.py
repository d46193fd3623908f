"""The arithmetic of pieces, against pages written out by hand."""

import numpy as np
import pymupdf
import pytest
from decoding import parts, seen
from hypothesis import given, settings
from hypothesis import strategies as st

from smart_jobs.decode.opening import Wanted
from smart_jobs.decode.parts import Part
from smart_jobs.decode.segments import Piece, attached, pieces
from smart_jobs.decode.spool import Spool
from smart_jobs.records import AssetError, Visual


def pdf(*pages):
    document = pymupdf.open()
    for text in pages:
        document.new_page().insert_text((72, 72), text)
    return document.tobytes()


def in_words(text):
    return text.split()


def whole(text):
    return [text]


def cut(content, split=whole, media="document", uri="a.pdf", sampling=None, parts=parts):
    return pieces(content, Wanted(uri, media, sampling), split, parts, Spool())


def plain(found):
    """Pieces with the errors as (reason, detail, step), which compare by value."""
    return [
        (piece.page, (piece.error.reason, piece.error.detail, piece.error.step) if piece.error else piece.text)
        for piece in found
    ]


def picture(value, frames=1):
    kind, times = ("image", ()) if frames == 1 else ("video", tuple(i / 2 for i in range(frames)))
    return Visual(kind, np.full((frames, 2, 3, 3), value, np.uint8), times)


def given_parts(*found):
    """A decoder that finds these parts in anything."""
    return lambda _data, _wanted: iter(found)


def test_each_page_by_itself():
    found = cut(pdf("one two", "three"), in_words)
    assert found == [Piece(1, "one"), Piece(1, "two"), Piece(2, "three")]


def test_a_page_without_text_is_one_error_in_its_place():
    found = plain(cut(pdf("one", "", "three")))
    assert found == [(1, "one"), (2, ("empty", "page 2 has no text", "decode")), (3, "three")]


def test_a_page_that_cannot_be_read_keeps_its_own_error():
    found = cut(pdf("one").replace(b"/Count 1", b"/Count 2"))
    assert found[0] == Piece(1, "one")
    assert (found[1].page, found[1].error.reason) == (2, "damaged")
    assert len(found) == 2


def test_text_has_no_pages():
    found = cut(b"one two", in_words, "text", "a.txt")
    assert found == [Piece(None, "one"), Piece(None, "two")]


def test_blank_text_is_empty():
    found = plain(cut(b" \n\t\xc2\xa0", whole, "text", "a.txt"))
    assert found == [(None, ("empty", "the file has no text", "decode"))]


@pytest.mark.parametrize(
    ("media", "uri", "content", "reason"),
    [
        ("document", "a.pdf", b"", "empty_file"),
        ("document", "a.pdf", b"text", "unsupported"),
        ("document", "a.pdf", b"%PDF-1.7", "damaged"),
        ("text", "a.txt", b"", "empty_file"),
        ("text", "a.txt", b"\0", "unsupported"),
    ],
)
def test_the_whole_asset_fails(media, uri, content, reason):
    with pytest.raises(AssetError) as caught:
        cut(content, whole, media, uri)
    assert caught.value.reason == reason


@given(st.lists(st.lists(st.sampled_from(["alpha", "beta", "gamma"]), max_size=6), min_size=1, max_size=5))
@settings(max_examples=50, deadline=None)
def test_against_brute_force(pages):
    expected = []
    for number, page in enumerate(pages, start=1):
        expected += [(number, word) for word in page] or [(number, ("empty", f"page {number} has no text", "decode"))]
    assert plain(cut(pdf(*(" ".join(page) for page in pages)), in_words)) == expected


# Visual encoders


@pytest.mark.parametrize(("page_as", "texts"), [("image", ["", "", ""]), ("both", ["one two", "", "three"])])
def test_one_piece_a_page_with_its_image(page_as, texts):
    found = cut(pdf("one two", "", "three"), in_words, sampling=seen(page_as))
    assert [(piece.page, piece.text, len(piece.visuals), piece.error) for piece in found] == [
        (page, text, 1, None) for page, text in enumerate(texts, 1)
    ]


def test_pages_as_text_are_cut_as_for_a_text_encoder():
    data = pdf("one two", "", "three")
    assert plain(cut(data, in_words, sampling=seen("text"))) == plain(cut(data, in_words))


def test_a_text_file_has_nothing_to_see():
    assert cut(b"one two", in_words, "text", "a.txt", seen()) == [Piece(text="one"), Piece(text="two")]


def test_clips_keep_their_place_in_time_and_their_pixels():
    spool = Spool()
    dark = AssetError("timeout", "detail", "decode")
    decoded = given_parts(
        Part(visuals=(picture(1, 4),), start=0.0, end=2.5),
        dark,
        Part(visuals=(picture(2), picture(3)), start=5.0, end=7.0),
    )
    found = pieces(b"x", Wanted("a.mp4", "video", seen()), whole, decoded, spool)
    assert [(p.page, p.text, p.start, p.end, p.error) for p in found] == [
        (None, "", 0.0, 2.5, None),
        (None, "", None, None, dark),
        (None, "", 5.0, 7.0, None),
    ]
    visuals = [[spool.visual(kept) for kept in piece.visuals] for piece in found]
    assert [[(v.kind, v.times, v.pixels.tolist()) for v in part] for part in visuals] == [
        [(v.kind, v.times, v.pixels.tolist()) for v in part] for part in ([picture(1, 4)], [], [picture(2), picture(3)])
    ]


@pytest.mark.parametrize(
    ("media", "sampling", "said"),
    [
        ("image", None, "takes no images"),
        ("video", None, "takes no videos"),
        ("video", seen(video=False), "takes no videos"),
    ],
)
def test_what_the_encoder_does_not_take_is_not_even_opened(media, sampling, said):
    def opened(_data, _wanted):
        raise AssertionError("must not be decoded")

    with pytest.raises(AssetError, match=f"unsupported: this encoder {said}"):
        cut(b"x", whole, media, "a", sampling, opened)
    with pytest.raises(AssetError, match=f"unsupported: this encoder {said}"):
        attached("caption", [(b"x", Wanted("a", media, sampling))], opened, Spool())


def test_all_that_is_seen_in_a_rows_files_is_one_piece():
    spool = Spool()
    files = [(b"1", Wanted("a.png", "image", seen())), (b"2", Wanted("b.mp4", "video", seen()))]

    def decoded(data, wanted):
        value = int(data)
        return given_parts(*[Part(visuals=(picture(value + i),)) for i in range(value)])(data, wanted)

    piece = attached("a caption", files, decoded, spool)
    assert (piece.text, piece.page, piece.error) == ("a caption", None, None)
    assert [spool.visual(kept).pixels.max() for kept in piece.visuals] == [1, 2, 3]
    bad = AssetError("damaged", "detail", "decode")
    with pytest.raises(AssetError) as caught:
        attached("a caption", files, given_parts(Part(visuals=(picture(1),)), bad), spool)
    assert caught.value is bad


def test_the_video_of_a_row_is_not_cut():
    sampling, asked = seen(), []
    clips = sampling.video.model_copy(update={"clip_seconds": 5.0})

    def decoded(_data, wanted):
        asked.append(wanted)
        return iter([Part(visuals=(picture(1, 4),))])

    files = [(b"1", Wanted("a.mp4", "video", sampling.model_copy(update={"video": clips}), "full"))]
    assert len(attached("a caption", files, decoded, Spool()).visuals) == 1
    assert asked == [Wanted("a.mp4", "video", sampling, "full")]


# Videos that come as pictures


def joined(files, sampling):
    """What is asked of the decoder for these (name, medium): content, medium and the frames in it."""
    asked = []

    def decoded(data, wanted):
        asked.append((data, wanted.media, wanted.frames))
        return iter([])

    attached("", [(name.encode(), Wanted(name, media, sampling)) for name, media in files], decoded, Spool())
    return asked


def test_frames_side_by_side_are_one_video():
    files = [("a", "frame"), ("bb", "frame"), ("c", "image"), ("d", "frame"), ("e", "video"), ("f", "image")]
    assert joined(files, seen()) == [
        (b"abb", "frame", (("a", 1), ("bb", 2))),
        (b"c", "image", ()),
        (b"d", "frame", (("d", 1),)),
        (b"e", "video", ()),
        (b"f", "image", ()),
    ]


def test_no_more_frames_than_the_model_sees():
    files = [(str(i), "frame") for i in range(9)]
    assert [data for data, *_ in joined(files, seen())] == [b"0258"]
    middle = seen().video.model_copy(update={"as_images": True, "max_frames": 1})
    assert [data for data, *_ in joined(files, seen().model_copy(update={"video": middle}))] == [b"4"]


def test_frames_are_refused_where_no_video_is_seen():
    for sampling in (None, seen(video=False)):
        with pytest.raises(AssetError, match="unsupported: this encoder takes no videos"):
            joined([("a", "frame")], sampling)
