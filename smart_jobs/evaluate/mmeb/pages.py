"""The rows of visual documents: queries, pages, and which pages are right to which degree."""

import hashlib
import os
from collections.abc import Iterator

from smart_jobs.evaluate import qrels, tables
from smart_jobs.evaluate.mmeb.rows import Pair, Parsed, Said, Shown
from smart_jobs.evaluate.mmeb.source import Source
from smart_jobs.evaluate.tasks import Name

KEPT = "image"
"""The column in which a corpus keeps its images."""

SHORT = 50
"""Characters of a VisRAG page's name that its file's name has."""


def vidore(source: Source) -> Parsed:
    """Pages are called by number, which is their file's name too."""
    return _parsed(source, "png")


def visrag(source: Source) -> Parsed:
    """Pages are called by a file's name, which may be too long for a file."""
    return _parsed(source, "")


def _parsed(source: Source, suffix: str) -> Parsed:
    pages = {name: Said(shown=shown) for name, shown in _pages(source, suffix)}
    grades = qrels.grades(source.part("qrels", qrels.COLUMNS))

    def pairs() -> Iterator[Pair]:
        for row in source.part("queries", ("query-id", "query")):
            relevant = grades.get(row["query-id"], {})
            candidates = [(name, pages.get(name) or Said(shown=_page(name, suffix))) for name in relevant]
            yield Pair(Said(row.text("query")), candidates, relevant)

    return Parsed(pairs(), pages.items())


def _pages(source: Source, suffix: str) -> Iterator[tuple[Name, Shown]]:
    """The corpus; what a Parquet file keeps of a page is where its image is taken from if there is no file."""
    files = source.annotations.parts["corpus"]
    keeps = {file for file in files if tables.keeps_images(file, KEPT)}
    for row in source.part("corpus", ("corpus-id",)):
        name = row["corpus-id"]
        yield name, _page(name, suffix, (row.file, KEPT, row.place) if row.file in keeps else None)


def _page(name: Name, suffix: str, kept: tuple[str, str, int] | None = None) -> Shown:
    return Shown("image", f"{name}.{suffix}" if suffix else _short(str(name)), kept=kept)


def _short(name: str) -> str:
    """The file of a VisRAG page: the beginning of its name, and a digest of the whole."""
    stem, suffix = os.path.splitext(name)
    return f"{stem[:SHORT]}_{hashlib.md5(name.encode()).hexdigest()[:8]}{suffix}"
