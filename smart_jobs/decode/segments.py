"""From the bytes of an asset to its passages: what becomes a segment, in order."""

from collections.abc import Callable
from dataclasses import dataclass

from smart_jobs.decode.text import plain_text
from smart_jobs.records import Asset, AssetError

PageTexts = Callable[[bytes, str], list[str | AssetError]]
"""Content and URI of a document -> the text of each page; see `document.page_texts`."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A passage, or the reason why a page has none. `page` counts from 1, and is None where there are no pages."""

    page: int | None
    text: str | AssetError


def pieces(asset: Asset, content: bytes, split: Callable[[str], list[str]], page_texts: PageTexts) -> list[Piece]:
    """Cut a document or text asset into the passages of each page, pages and passages in order.

    `split` gets a text with something in it and gives its passages, at least one. The same texts and `split` give the
    same pieces, so a piece's place in the list is its ordinal. Every page has at least one: where there is no text it
    is an `empty` error, where the page cannot be read its own. Raises `AssetError` where the whole asset fails.
    """
    if asset.media == "text":
        return _passages(None, plain_text(content, asset.uri), split)
    texts = page_texts(content, asset.uri)
    return [piece for page, text in enumerate(texts, start=1) for piece in _passages(page, text, split)]


def _passages(page: int | None, text: str | AssetError, split: Callable[[str], list[str]]) -> list[Piece]:
    if isinstance(text, AssetError):
        return [Piece(page, text)]
    if not text.strip():
        where = "the file" if page is None else f"page {page}"
        return [Piece(page, AssetError("empty", f"{where} has no text", "decode"))]
    return [Piece(page, passage) for passage in split(text)]
