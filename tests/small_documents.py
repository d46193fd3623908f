"""The smallest document of each format that is no PDF."""

import io
import zipfile

import pymupdf


def archive(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        for name, content in files.items():
            target.writestr(name, content)
    return buffer.getvalue()


EPUB = archive(
    {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": '<?xml version="1.0"?><container version="1.0" '
        'xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles><rootfile full-path="c.opf" '
        'media-type="application/oebps-package+xml"/></rootfiles></container>',
        "c.opf": '<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf" version="3.0"><metadata/>'
        '<manifest><item id="a" href="a.xhtml" media-type="application/xhtml+xml"/></manifest>'
        '<spine><itemref idref="a"/></spine></package>',
        "a.xhtml": '<html xmlns="http://www.w3.org/1999/xhtml"><body><p>Hello book</p></body></html>',
    }
)
RELATIONS = '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{}</Relationships>'
OFFICE_TYPE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PPTX = archive(
    {
        "_rels/.rels": RELATIONS.format(
            f'<Relationship Id="rId1" Type="{OFFICE_TYPE}/officeDocument" Target="ppt/presentation.xml"/>'
        ),
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>',
        "ppt/presentation.xml": '<p:presentation xmlns:p="p" xmlns:r="r"><p:sldIdLst><p:sldId id="256" r:id="rId2"/>'
        "</p:sldIdLst></p:presentation>",
        "ppt/_rels/presentation.xml.rels": RELATIONS.format(
            f'<Relationship Id="rId2" Type="{OFFICE_TYPE}/slide" Target="slides/slide1.xml"/>'
        ),
        "ppt/slides/slide1.xml": '<p:sld xmlns:p="p" xmlns:a="a"><p:cSld><p:spTree><p:sp><p:txBody><a:p><a:r>'
        "<a:t>Hello slide</a:t></a:r></a:p></p:txBody></p:sp></p:spTree></p:cSld></p:sld>",
    }
)
FB2 = (
    b'<?xml version="1.0"?><FictionBook xmlns="http://www.gribuser.ru/xml/fictionbook/2.0">'
    b"<body><section><p>Hello novel</p></section></body></FictionBook>"
)
HTML = b"<!DOCTYPE html>\n<html><head><title>t</title></head><body><p>Hello web, a %PDF-1.7 header</p></body></html>"
JPEG = pymupdf.Pixmap(pymupdf.csRGB, pymupdf.IRect(0, 0, 20, 20), False).tobytes("jpeg")
