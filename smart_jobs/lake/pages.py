"""Where each value of a binary column lies in a Parquet file, so that it can be read without decoding anything.

Holds for the files that `writer` makes: required column, PLAIN, uncompressed, one value a page. A page is a header in
Thrift's compact protocol (parquet.thrift, PageHeader), then a 4-byte little-endian length, then the value.
"""

import pyarrow as pa
import pyarrow.parquet as pq

I32, BINARY, STRUCT = 5, 8, 12
TRUE, FALSE = 1, 2
COMPRESSED_PAGE_SIZE = 3


def value_ranges(data: pa.Buffer, column: str) -> list[tuple[int, int]]:
    """(offset, length) in bytes of every value of `column`, in row order. Raises ValueError for another layout."""
    metadata = pq.ParquetFile(pa.BufferReader(data)).metadata
    position = metadata.schema.names.index(column)
    content = memoryview(data).cast("B")
    found: list[tuple[int, int]] = []
    for group in range(metadata.num_row_groups):
        chunk = metadata.row_group(group).column(position)
        at = chunk.data_page_offset
        for _ in range(chunk.num_values):
            size, start = _page_header(content, at)
            length = int.from_bytes(content[start : start + 4], "little")
            if length + 4 != size:
                raise ValueError(f"column {column}: page at byte {at} holds {size} bytes for a value of {length}")
            found.append((start + 4, length))
            at = start + size
    return found


def _page_header(data: memoryview, at: int) -> tuple[int, int]:
    """The page's compressed size, and where its data begins."""
    size, field = -1, 0
    while data[at]:
        delta, kind = data[at] >> 4, data[at] & 15
        field += delta
        value, at = _skip(data, at + 1, kind)
        size = value if field == COMPRESSED_PAGE_SIZE else size
    return size, at + 1


def _skip(data: memoryview, at: int, kind: int) -> tuple[int, int]:
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


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return number, at
