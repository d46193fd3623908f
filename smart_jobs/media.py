"""What a file is: by its name, and by its first bytes where the name does not say."""

import re
from pathlib import PurePosixPath

from smart_jobs.records import Media

TEXT = frozenset({".txt", ".text", ".md", ".rst", ".log"})
DOCUMENT = frozenset(
    {".pdf", ".epub", ".xps", ".oxps", ".docx", ".xlsx", ".pptx", ".mobi", ".fb2", ".html", ".htm", ".xhtml"}
)
# fmt: off
IMAGE = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".gif", ".webp", ".avif", ".avifs", ".bmp", ".dib", ".tif",
    ".tiff", ".jp2", ".j2k", ".jpc", ".jpf", ".jpx", ".j2c", ".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".tga", ".icb",
    ".vda", ".vst", ".ico", ".cur", ".icns", ".psd", ".pcx", ".dcx", ".dds", ".blp", ".sgi", ".rgb", ".rgba", ".bw",
    ".mpo", ".qoi", ".xbm", ".xpm", ".fli", ".flc", ".msp", ".im", ".ras", ".pxr", ".ftu", ".ftc",
})
"""What Pillow reads."""

VIDEO = frozenset({
    ".mp4", ".m4v", ".mov", ".qt", ".mkv", ".webm", ".avi", ".divx", ".flv", ".f4v", ".3gp", ".3g2", ".ts", ".m2ts",
    ".mts", ".ps", ".vob", ".mpg", ".mpeg", ".m1v", ".m2v", ".wmv", ".asf", ".ogv", ".ogx", ".mxf", ".nut", ".y4m",
    ".ivf", ".rm", ".rmvb", ".dv",
})
"""What FFmpeg reads."""

AUDIO = frozenset({
    ".mp3", ".wav", ".flac", ".aac", ".m4a", ".ogg", ".oga", ".opus", ".wma", ".aif", ".aiff", ".ac3", ".amr", ".mka",
})
"""The video decoder's too, which says that there is nothing to see in them."""
# fmt: on

_IMAGE = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|RIFF....WEBP|II\*\0|MM\0\*|II\+\0|MM\0\+|BM....\0\0\0\0"
    rb"|\0\0\0\x0cjP  |\xff\x4f\xff\x51|....ftyp(?:avif|avis|mif1)|8BPS\0|qoif|DDS |P[1-6]\s",
    re.DOTALL,
)
_VIDEO = re.compile(
    rb"....(?:ftyp|moov|mdat|wide)|\x1aE\xdf\xa3|RIFF....(?:AVI |WAVE)|FLV\x01|OggS|0&\xb2u\x8ef\xcf\x11"
    rb"|\0\0\x01[\xba\xb3]|G.{187}G.{187}G|ID3|fLaC",
    re.DOTALL,
)


def media_of(uri: str) -> Media:
    """How a file is decoded, by its suffix; what says nothing is a document, whose decoder looks inside."""
    suffix = PurePosixPath(uri).suffix.lower()
    if suffix in TEXT:
        return "text"
    if suffix in IMAGE:
        return "image"
    return "video" if suffix in VIDEO or suffix in AUDIO else "document"


def media_inside(uri: str, content: bytes) -> Media:
    """The same, by the first bytes where the suffix says nothing: an object in a bucket is often named by a number."""
    media = media_of(uri)
    if media != "document" or PurePosixPath(uri).suffix.lower() in DOCUMENT:
        return media
    if _IMAGE.match(content):
        return "image"
    return "video" if _VIDEO.match(content) else "document"
