"""The image tasks' rows: the positive comes first, and all its candidates are in the row."""

from collections.abc import Callable, Iterator, Sequence

from smart_jobs.evaluate.mmeb.rows import Pair, Parsed, Said, Shown
from smart_jobs.evaluate.mmeb.source import Source
from smart_jobs.evaluate.tables import Row
from smart_jobs.evaluate.tasks import Name
from smart_jobs.records import UsageError

COLUMNS = ("qry_inst", "qry_text", "qry_img_path", "tgt_inst", "tgt_text", "tgt_img_path")


def to_texts(source: Source) -> Parsed:
    """`image_cls`, `image_qa`, `image_i2t`: an image to texts, which are their own names."""

    def pair(row: Row) -> Pair:
        candidates = [(text, Said(text)) for text in row.texts("tgt_text")]
        return _pair(row, _query(row, _seen(row)), candidates)

    return Parsed(_pairs(source, pair))


def from_text(source: Source) -> Parsed:
    """`image_t2i`: a text to images, called by their paths; the query has no image, whatever its column says."""

    def pair(row: Row) -> Pair:
        return _pair(row, _query(row, None), [(path, said) for path, _, said in _images(row)])

    return Parsed(_pairs(source, pair))


def from_image(source: Source) -> Parsed:
    """`image_i2i_vg`: an image to images, called by path and caption: one image may be meant in several ways."""

    def pair(row: Row) -> Pair:
        candidates = [(f"{path}:{text.strip(chr(34))}", said) for path, text, said in _images(row)]
        return _pair(row, _query(row, _seen(row)), candidates)

    return Parsed(_pairs(source, pair))


def _pairs(source: Source, pair: Callable[[Row], Pair]) -> Iterator[Pair]:
    return map(pair, source.rows(COLUMNS))


def _pair(row: Row, query: Said, candidates: Sequence[tuple[Name, Said]]) -> Pair:
    if not candidates:
        raise UsageError(f"{row}: expected candidates, the right one first, found none")
    return Pair(query, candidates, {candidates[0][0]: 1.0})


def _query(row: Row, shown: Shown | None) -> Said:
    return Said(row.text("qry_text"), _instruction(row, "qry_inst"), shown)


def _seen(row: Row) -> Shown:
    return Shown("image", row.text("qry_img_path"))


def _images(row: Row) -> Iterator[tuple[str, str, Said]]:
    """Each candidate's path and text."""
    paths, texts = row.texts("tgt_img_path"), row.texts("tgt_text")
    if len(paths) != len(texts):
        raise UsageError(f"{row}: expected a text for each image, found {len(texts)} for {len(paths)}")
    instruction = _instruction(row, "tgt_inst")
    for path, text in zip(paths, texts, strict=True):
        yield path, text, Said(text, instruction, Shown("image", path))


def _instruction(row: Row, column: str) -> str:
    """A column that may be missing."""
    return row.text(column) if column in row.values else ""
