"""The rows of moment retrieval: clips are folders of frames, called by their paths beneath the suite's folder."""

import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

from smart_jobs import storage
from smart_jobs.evaluate.mmeb.rows import Pair, Parsed, Said, Shown
from smart_jobs.evaluate.mmeb.source import Source
from smart_jobs.evaluate.tables import Row

QUERY, RIGHT = "query", "positive"


def beside_video(source: Source) -> Parsed:
    """`moment_retrieval`: a video and a text to its clips: every folder beside the query's own, in natural order.

    Where none is called positive there is still one to be found, which is no candidate: it counts as missed.
    """

    def pair(row: Row) -> Pair:
        video = posixpath.splitext(posixpath.basename(row.text("video_path")))[0]
        clips = [f"{video}/{name}" for name in source.media.folders(video) if name != QUERY]
        right = [clip for clip in clips if clip.startswith(f"{video}/{RIGHT}")] or [f"{video}/{RIGHT}"]
        query = Said(row.text("query"), shown=Shown("video", f"{video}/{QUERY}"))
        return _pair(source, query, clips, right)

    return Parsed(map(pair, source.rows(("query", "video_path"))))


def momentseeker(source: Source) -> Parsed:
    """A text, alone or with an image or a video, to clips: the right ones first, of which there may be several."""

    def pair(row: Row) -> Pair:
        right = [_folder(path) for path in _paths(row, "positive_frames")]
        wrong = [_folder(path) for path in _paths(row, "negative_frames")]
        return _pair(source, Said(row.text("query"), shown=_seen(row.text("input_frames"))), right + wrong, right)

    return Parsed(map(pair, source.rows(("query", "input_frames", "positive_frames", "negative_frames"))))


def _pair(source: Source, query: Said, clips: list[str], right: list[str]) -> Pair:
    place = source.media.place
    candidates = [(storage.join(place, clip), Said(shown=Shown("video", clip, clip=True))) for clip in clips]
    return Pair(query, candidates, {storage.join(place, clip): 1.0 for clip in right})


def _seen(path: str) -> Shown | None:
    """What the query comes with, by its suffix: a video as its folder of frames, an image, nothing."""
    if path.endswith(".mp4"):
        return Shown("video", _folder(path))
    return Shown("image", f"query_{path}") if path.endswith(".jpg") else None


def _folder(path: str) -> str:
    return f"video_frames/{path.replace('/', '_').split('.mp4')[0]}"


def _paths(row: Row, column: str) -> Iterator[str]:
    for entry in row[column] or ():
        found: Any = entry.get("output_path") if isinstance(entry, Mapping) else None
        if not isinstance(found, str):
            raise row.wrong(column, "a list of objects with `output_path`")
        yield found
