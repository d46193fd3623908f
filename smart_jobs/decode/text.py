"""Plain text files: bytes to a string."""

import codecs

from smart_jobs.records import AssetError

_STEP = "decode"
_BY_MARK = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def plain_text(data: bytes, uri: str) -> str:
    """Decode a text file whole, white space as it stands, without its byte order mark.

    UTF-16 is known by its mark; everything else must be UTF-8. Raises `empty_file` for zero bytes and `unsupported` for
    bytes that decode to no text or to text with NULs in it, which is how binary content shows.
    """
    if not data:
        raise AssetError("empty_file", "the file has no bytes", _STEP)
    encoding = next((name for mark, name in _BY_MARK if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise AssetError("unsupported", f"{uri} is not text: {error}", _STEP) from error
    if "\0" in text:
        raise AssetError("unsupported", f"{uri} is not text: NUL at character {text.index(chr(0))}", _STEP)
    return text
