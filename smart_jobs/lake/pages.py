"""Where each value of a binary column lies in a Parquet file, so that it can be read without decoding anything.

Holds for the files that `writer` makes: required column, PLAIN, uncompressed, one value a page. A page is a header in
Thrift's compact protocol (parquet.thrift, PageHeader), then a 4-byte little-endian length, then the value.
"""

import pyarrow as pa
import pyarrow.parquet as pq

I32, BINARY, STRUCT = 5, 8, 12
TRUE, FALSE = 1, 2
COMPRESSED_PAGE_SIZE = 3

HEADER = 128
"""Bytes in which a page header ends, the length of a value behind it included: ours have some 25."""


def value_ranges(data: pa.Buffer | pa.NativeFile, column: str) -> list[tuple[int, int]]:
    """(offset, length) in bytes of every value of `column`, in row order. Raises ValueError for another layout.

    Reads the footer and `HEADER` bytes a value.
    """
    source = pa.BufferReader(data) if isinstance(data, pa.Buffer) else data
    metadata = pq.ParquetFile(source).metadata
    position = metadata.schema.names.index(column)
    found: list[tuple[int, int]] = []
    for group in range(metadata.num_row_groups):
        chunk = metadata.row_group(group).column(position)
        at = chunk.data_page_offset
        for _ in range(chunk.num_values):
            size, start, length = _page(source.read_at(HEADER, at))
            if length + 4 != size:
                raise ValueError(f"column {column}: page at byte {at} holds {size} bytes for a value of {length}")
            found.append((at + start + 4, length))
            at += start + size
    return found


def _page(head: bytes) -> tuple[int, int, int]:
    """Of the page that begins so: its compressed size, where its data begins, the length of its first value."""
    try:
        size, start = _page_header(head, 0)
    except IndexError as error:
        raise ValueError(f"page header: does not end within {len(head)} bytes") from error
    return size, start, int.from_bytes(head[start : start + 4], "little")


def _page_header(data: bytes, at: int) -> tuple[int, int]:
    """The page's compressed size, and where its data begins."""
    size, field = -1, 0
    while data[at]:
        delta, kind = data[at] >> 4, data[at] & 15
        field += delta
        value, at = _skip(data, at + 1, kind)
        size = value if field == COMPRESSED_PAGE_SIZE else size
    return size, at + 1


def _skip(data: bytes, at: int, kind: int) -> tuple[int, int]:
    """The value at `at` where it is a number, and where the next field begins."""
    if kind in (TRUE, FALSE):
        return 0, at
    if kind == STRUCT:
        while data[at]:
            _, at = _skip(data, at + 1, data[at] & 15)
        return 0, at + 1
    number, at = _varint(data, at)
    if kind == BINARY:
        return 0, at + number
    if kind != I32:
        raise ValueError(f"page header: unexpected field type {kind}")
    return (number >> 1) ^ -(number & 1), at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return number, at
