"""Documents: the text layer of every page, and what it looks like. The one place that knows PyMuPDF."""

import contextlib
import re
from collections.abc import Iterator
from functools import partial
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pymupdf

from smart_jobs.decode.parts import Part, Parts
from smart_jobs.records import AssetError, Visual
from smart_jobs.sampling import Sampling, page_size

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


@contextlib.contextmanager
def opened(data: bytes, uri: str, sampling: Sampling | None) -> Iterator[Parts]:
    """The pages of a document while it is open: their text, their image or both, as `sampling` says; None: the text.

    The text stands in the order in which the document draws it, which for typeset columns is the reading order; it is
    "" where a page has none. The image is drawn at the size that `sampling.page_size` gives, as a viewer shows the
    page: cropped, rotated, with its annotations. A page that alone cannot be read gives its `damaged` error in its
    place, one that is too thin a strip to be drawn `unsupported`. Raises for the whole document `empty_file`,
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
            yield Parts(document.page_count, partial(_part, document, sampling))
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


def _part(document: Any, sampling: Sampling | None, index: int) -> Part | AssetError:
    page_as = sampling.page_as if sampling else "text"
    try:
        page = document.load_page(index)
        drawn = (_drawn(page, sampling),) if sampling and page_as != "text" else ()
        text = _clean(page.get_text("text", flags=_FLAGS)) if page_as != "image" else ""
    except AssetError as error:
        return error
    except _ERRORS as error:
        _check_memory(error)
        return AssetError("damaged", f"page {index + 1} cannot be read: {error}", _STEP)
    return Part(text, drawn, page=index + 1)


def _drawn(page: Any, sampling: Sampling) -> Visual:
    """The page at its final size at once: a larger drawing that is then made smaller costs several times as much."""
    if page.rect.is_empty:
        raise AssetError("damaged", f"page {page.number + 1} is {page.rect.width:g} x {page.rect.height:g} points",
                         _STEP)  # fmt: skip
    height, width = page_size(page.rect.width, page.rect.height, sampling)
    shown = _shown(page.rect, sampling)
    matrix = pymupdf.Matrix(width / shown.width, height / shown.height)
    pixmap = page.get_pixmap(matrix=matrix, clip=shown, colorspace=pymupdf.csRGB, alpha=False)
    # What is cut off are the pixels of which a part is shown. The copy outlives the pixmap, which the view does not.
    pixels = np.frombuffer(pixmap.samples_mv, np.uint8).reshape(pixmap.height, pixmap.width, 3)[:height, :width].copy()
    return Visual("image", pixels[None])


def _shown(whole: Any, sampling: Sampling) -> Any:
    """The part of the page that goes into the image: its middle in the shape of the last `crop`, else all of it."""
    crops = [resize.width / resize.height for resize in sampling.image if resize.how == "crop"]
    if not crops:
        return whole
    width, height = min(whole.width, whole.height * crops[-1]), min(whole.height, whole.width / crops[-1])
    left, top = whole.x0 + (whole.width - width) / 2, whole.y0 + (whole.height - height) / 2
    return pymupdf.Rect(left, top, left + width, top + height)


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
