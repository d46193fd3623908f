"""The rows of video classification and video retrieval."""

import posixpath
from collections.abc import Callable

from smart_jobs.evaluate.mmeb.rows import Pair, Parsed, Said, Shown
from smart_jobs.evaluate.mmeb.source import Source
from smart_jobs.evaluate.tables import Row
from smart_jobs.records import UsageError


def classes(source: Source) -> Parsed:
    """`video_classification`: a video to the classes of the task's list; the rows' own come first."""
    labels = [(label, Said(label)) for label in source.record.labels]
    return Parsed(map(_class, source.rows(("video_id", "pos_text"))), labels)


def _class(row: Row) -> Pair:
    label = row.text("pos_text")
    return Pair(_video(row), [(label, Said(label))], {label: 1.0})


def phrases(source: Source) -> Parsed:
    """`ssv2`: a video to the phrases of its row, among them the right one."""
    return Parsed(map(_phrases, source.rows(("video_id", "pos_text", "neg_text"))))


def _phrases(row: Row) -> Pair:
    return Pair(_video(row), [(text, Said(text)) for text in row.texts("neg_text")], {row.text("pos_text"): 1.0})


def _video(row: Row) -> Said:
    return Said(shown=Shown("video", row.text("video_id")))


def msrvtt(source: Source) -> Parsed:
    """A caption to its video, among those of all rows."""
    return _captions(source, "video_id", lambda row: row.text("caption"))


def msvd(source: Source) -> Parsed:
    """The same, by the first of several captions."""
    return _captions(source, "video_id", lambda row: _first(row, "caption"))


def didemo(source: Source) -> Parsed:
    """The same; a video is called by its file, without folder and suffix."""
    return _captions(source, "video", lambda row: row.text("caption"), _stem)


def youcook2(source: Source) -> Parsed:
    """The same; the caption is a sentence."""
    return _captions(source, "id", lambda row: row.text("sentence"))


def vatex(source: Source) -> Parsed:
    """The same, by the first of several English captions."""
    return _captions(source, "videoID", lambda row: _first(row, "enCap"))


def _captions(source: Source, column: str, caption: Callable[[Row], str], name: Callable[[str], str] = str) -> Parsed:
    def pair(row: Row) -> Pair:
        video = name(row.text(column))
        return Pair(Said(caption(row)), [(video, Said(shown=Shown("video", video)))], {video: 1.0})

    return Parsed(map(pair, source.rows((column, "caption", "sentence", "enCap"))))


def _stem(path: str) -> str:
    return posixpath.splitext(posixpath.basename(path))[0]


def _first(row: Row, column: str) -> str:
    texts = row.texts(column)
    if not texts:
        raise UsageError(f"{row}: expected a caption in {column!r}, found none")
    return texts[0]
