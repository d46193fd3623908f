"""Documents: the text layer of every page. The one place that knows PyMuPDF."""

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import Any

import pymupdf

from smart_jobs.records import AssetError

_STEP = "decode"
_HEAD = 1024
# PyMuPDF raises the first two itself ("page not in document"), and lets MuPDF's own through.
_ERRORS = (RuntimeError, ValueError, pymupdf.mupdf.FzErrorBase)
_NO_MEMORY = re.compile(r"\b(?:m|c|re)alloc .*failed")
# A ligature glyph becomes its letters: a tokenizer knows "file", not "ﬁle".
_FLAGS = pymupdf.TEXTFLAGS_TEXT & ~pymupdf.TEXT_PRESERVE_LIGATURES

_ZIP, _MARKUP = re.compile(rb"\APK\x03\x04"), re.compile(rb"(?i)<!doctype html|<html")
_MAGIC = {
    "PDF": re.compile(rb"%PDF-"),
    "EPUB": _ZIP,
    "XPS": _ZIP,
    "Office document": _ZIP,
    "MOBI": re.compile(rb"BOOKMOBI|TEXtREAd"),
    "FictionBook2": re.compile(rb"<FictionBook"),
    "HTML5": _MARKUP,
    "XHTML": _MARKUP,
}
"""The formats that are read, by MuPDF's name for them, and what each has among its first 1024 bytes."""

_FORMATS = {
    ".pdf": ("PDF",),
    ".epub": ("EPUB",),
    ".xps": ("XPS",),
    ".oxps": ("XPS",),
    ".docx": ("Office document",),
    ".xlsx": ("Office document",),
    ".pptx": ("Office document",),
    ".mobi": ("MOBI",),
    ".fb2": ("FictionBook2",),
    ".html": ("HTML5", "XHTML"),
    ".htm": ("HTML5", "XHTML"),
    ".xhtml": ("HTML5", "XHTML"),
}
_UNNAMED = ("PDF", "EPUB", "XPS", "Office document", "MOBI")
"""What a name with any other suffix, or none, may hold: an object in a bucket is often named by a number."""

_HYPHEN = re.compile(r"\u00ad\s*\n\s*")
_NOT_TEXT = re.compile(r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ud800-\udfff]")
_SPACES = re.compile(r"[^\S\n]+")
_LINE_END = re.compile(r" ?\n ?")
_BLANK_LINES = re.compile(r"\n{3,}")

pymupdf.TOOLS.mupdf_display_errors(False)
pymupdf.TOOLS.mupdf_display_warnings(False)


@dataclass(frozen=True, slots=True)
class Pages:
    """An open document: how many pages it has, and the text of the page at an index from 0."""

    count: int
    text: Callable[[int], str | AssetError]


def page_texts(data: bytes, uri: str) -> list[str | AssetError]:
    """Read the text of each page of the document in this process, pages in order; see `opened` for what is raised.

    A document that makes MuPDF hang or crash takes the process with it: jobs call `Sandbox.page_texts`.
    """
    with opened(data, uri) as pages:
        return [pages.text(index) for index in range(pages.count)]


@contextlib.contextmanager
def opened(data: bytes, uri: str) -> Iterator[Pages]:
    """The pages of a document while it is open; "" is the text of a page that has none.

    The text stands in the order in which the document draws it, which for typeset columns is the reading order. A page
    that alone cannot be read gives its `damaged` error in its place. Raises for the whole document `empty_file`,
    `encrypted` (the empty password does not open it), `damaged` (it does not open, or has no page) and `unsupported`
    (a format outside the list, or content that is not what the suffix of `uri` says); MemoryError, as a page does,
    where MuPDF gets no more memory.

    MuPDF is not thread-safe: one document at a time in a process. Nothing is kept of a document that is closed.
    """
    if not data:
        raise AssetError("empty_file", "the file has no bytes", _STEP)
    suffix = PurePosixPath(uri).suffix.lower()
    formats = _FORMATS.get(suffix, _UNNAMED)
    _check_magic(data, formats)
    try:
        with _open(data, suffix, formats) as document:
            yield Pages(document.page_count, partial(_page_text, document))
    finally:
        # Both grow for as long as the process lives.
        pymupdf.TOOLS.store_shrink(100)
        pymupdf.TOOLS.reset_mupdf_warnings()


def _open(data: bytes, suffix: str, formats: tuple[str, ...]) -> Any:
    try:
        # The suffix only breaks ties, e.g. for HTML that speaks of %PDF; where they differ MuPDF goes by the content.
        document = pymupdf.open(stream=data, filetype=suffix)
        _check_opened(document, formats)
    except _ERRORS as error:
        _check_memory(error)
        raise AssetError("damaged", f"cannot be opened: {error}", _STEP) from error
    return document


def _check_magic(data: bytes, formats: tuple[str, ...]) -> None:
    # UTF-16 markup without its NULs reads as ASCII.
    head = data[:_HEAD].replace(b"\0", b"")
    if not any(_MAGIC[name].search(head) for name in formats):
        raise AssetError("unsupported", f"not {' or '.join(formats)}: begins with {head[:16]!r}", _STEP)


def _check_opened(document: Any, formats: tuple[str, ...]) -> None:
    if document.needs_pass and not document.authenticate(""):
        raise AssetError("encrypted", "a password is needed to open it", _STEP)
    name = document.metadata["format"]
    if not name.startswith(formats):
        raise AssetError("unsupported", f"not {' or '.join(formats)}: the content is {name}", _STEP)
    if document.page_count == 0:
        raise AssetError("damaged", "opens, but has no page", _STEP)


def _page_text(document: Any, index: int) -> str | AssetError:
    try:
        text = document.load_page(index).get_text("text", flags=_FLAGS)
    except _ERRORS as error:
        _check_memory(error)
        return AssetError("damaged", f"page {index + 1} cannot be read: {error}", _STEP)
    return _clean(text)


def _check_memory(error: Exception) -> None:
    """MuPDF's own error for it says nothing about the document: raise Python's instead."""
    if _NO_MEMORY.search(str(error)):
        raise MemoryError(str(error)) from error


def _clean(text: str) -> str:
    """Join words at soft hyphens, make one space of each run of spaces, keep line ends and single blank lines.

    A soft hyphen inside a line is a drawn one: MuPDF leaves out those that do not show. A control character is a glyph
    whose letter MuPDF cannot tell, mostly a space or a bullet: it becomes a space.
    """
    text = _HYPHEN.sub("", text.replace("\0", "").replace("\ufeff", "")).replace("\u00ad", "-")
    text = _NOT_TEXT.sub(" ", text)
    text = _LINE_END.sub("\n", _SPACES.sub(" ", text))
    return _BLANK_LINES.sub("\n\n", text).strip()
