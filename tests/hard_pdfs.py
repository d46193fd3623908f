"""PDFs of a few hundred bytes whose middle page is too much for MuPDF."""

import zlib


def endless() -> bytes:
    """Ten forms, each drawing the next ten times: 10¹⁰ of them, some hours of text extraction."""
    form = b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]"
    uses = [form + b"/Resources<</XObject<</F %d 0 R>>>>" % number for number in range(10, 20)]
    forms = [stream(b"/F Do " * 10, options) for options in uses]
    return between(b"/F Do", [*forms, stream(b"0 0 m 1 1 l S", form)])


def greedy(megabytes: int) -> bytes:
    """A page that draws so many letters, stored in a thousandth of that; MuPDF needs 24 times as much for them."""
    line = b"(%s)Tj " % (b"a" * 60)
    content = b"BT /A 12 Tf 9 9 Td " + line * (megabytes * 10**6 // len(line)) + b"ET"
    return between(zlib.compress(content), [stream(b"", b"/Unused true")], b"/Filter/FlateDecode")


def between(content: bytes, more: list[bytes], options: bytes = b"") -> bytes:
    """Three pages: "before", `content`, "behind". Object 9, which `content` knows as /F, is the first of `more`."""
    resources = b"/Resources<</Font<</A 8 0 R>>/XObject<</F 9 0 R>>>>"
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Contents %d 0 R" + resources + b">>"
    said = [stream(b"BT /A 12 Tf 9 9 Td (%s)Tj ET" % word) for word in (b"before", b"behind")]
    return pdf(
        [
            b"<</Type/Catalog/Pages 2 0 R>>",
            b"<</Type/Pages/Kids[3 0 R 4 0 R 5 0 R]/Count 3>>",
            *(page % number for number in (6, 7, 9 + len(more))),
            said[0],
            stream(content, options),
            b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
            *more,
            said[1],
        ]
    )


def stream(data: bytes, options: bytes = b"") -> bytes:
    return b"<<%s/Length %d>>stream\n%s\nendstream" % (options, len(data), data)


def pdf(objects: list[bytes]) -> bytes:
    """A file of these objects, numbered from 1; the first is the catalog."""
    out, places = bytearray(b"%PDF-1.7\n"), []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(objects) + 1, table)
    out += b"trailer\n<</Root 1 0 R/Size %d>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(out)
