"""From the bytes of an asset to its pieces: what becomes a segment, in order."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from smart_jobs.decode.opening import Wanted
from smart_jobs.decode.parts import Part
from smart_jobs.decode.spool import Kept, Spool
from smart_jobs.decode.text import plain_text
from smart_jobs.records import AssetError
from smart_jobs.sampling import listed

PartsOf = Callable[[bytes, Wanted], Iterator[Part | AssetError]]
"""Content of an asset -> each part of it; see `Sandbox.parts`."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A passage, an image or a clip, or the `error` that stands in its place.

    `page` counts from 1, and is None where there are no pages; `start` and `end` are seconds of a video.
    """

    page: int | None = None
    text: str = ""
    start: float | None = None
    end: float | None = None
    visuals: tuple[Kept, ...] = ()
    error: AssetError | None = None


def pieces(
    content: bytes, wanted: Wanted, split: Callable[[str], list[str]], parts: PartsOf, spool: Spool
) -> list[Piece]:
    """Cut a file into its pieces: the passages of each page that comes as text, each page, image and clip with pixels.

    `split` gets a text with something in it and gives its passages, at least one; a text that comes with an image is
    not split. The same texts and `split` give the same pieces, so a piece's place in the list is its ordinal. Every
    part has at least one: where there is nothing in it it is an `empty` error, where it cannot be read its own. Raises
    `AssetError` where the whole asset fails. The pixels go into `spool`.
    """
    refuse(wanted)
    if wanted.media == "text":
        return passages(None, plain_text(content, wanted.uri), "the file", split)
    return [piece for i, part in enumerate(parts(content, wanted)) for piece in _of_part(i, part, wanted, split, spool)]


def passages(page: int | None, text: str, where: str, split: Callable[[str], list[str]]) -> list[Piece]:
    """The passages of a text that `where` names, or the one error that it is empty."""
    if not text.strip():
        return [Piece(page, error=AssetError("empty", f"{where} has no text", "decode"))]
    return [Piece(page, passage) for passage in split(text)]


def attached(text: str, files: Iterable[tuple[bytes, Wanted]], parts: PartsOf, spool: Spool) -> Piece:
    """One piece of a row's text and all that is to be seen in its files, videos uncut, frames side by side one video.

    Raises AssetError where a file or a part of it has an error.
    """
    visuals: list[Kept] = []
    for content, wanted in _joined(files):
        for part in parts(content, wanted.whole()):
            if isinstance(part, AssetError):
                raise part
            visuals += [spool.keep(visual) for visual in part.visuals]
    return Piece(text=text, visuals=tuple(visuals))


def refuse(wanted: Wanted) -> None:
    """Raise `unsupported` for a medium that the encoder does not take."""
    what = {"image": "images", "video": "videos", "frame": "videos"}.get(wanted.media)
    taken = wanted.sampling is not None and (wanted.media == "image" or wanted.sampling.video is not None)
    if what is not None and not taken:
        raise AssetError("unsupported", f"this encoder takes no {what}", "decode")


def _joined(files: Iterable[tuple[bytes, Wanted]]) -> Iterator[tuple[bytes, Wanted]]:
    """The files that the model takes; of frames that follow each other those that it sees, as one."""
    for media, group in itertools.groupby(files, key=lambda item: item[1].media):
        run = list(group)
        for _, wanted in run:
            refuse(wanted)
        first = run[0][1]
        if media == "frame" and first.sampling is not None and first.sampling.video is not None:
            seen = [run[place] for place in listed(len(run), first.sampling.video)]
            frames = tuple((wanted.uri, len(content)) for content, wanted in seen)
            yield b"".join(content for content, _ in seen), replace(first, frames=frames)
        else:
            yield from run


def _of_part(
    index: int, part: Part | AssetError, wanted: Wanted, split: Callable[[str], list[str]], spool: Spool
) -> list[Piece]:
    if isinstance(part, AssetError):
        return [Piece(index + 1 if wanted.media == "document" else None, error=part)]
    if not part.visuals:
        return passages(part.page, part.text, f"page {part.page}", split)
    return [Piece(part.page, part.text, part.start, part.end, tuple(map(spool.keep, part.visuals)))]
