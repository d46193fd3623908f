"""Images: any raster format that Pillow reads, as RGB at the size at which a model sees it."""

import contextlib
import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from io import BytesIO

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from smart_jobs.decode.parts import Part, Parts
from smart_jobs.records import AssetError, Visual
from smart_jobs.sampling import Resize, Sampling, image_size

MAX_PIXELS = 178_956_970
"""More than this in one image is not decoded: where Pillow itself refuses, 512 MB as RGB."""

_STEP = "decode"
_NO_RASTER = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"})
"""Formats that Pillow knows by name only, or hands to another program."""

# Pillow's readers of rare formats let through whatever broken bytes make Python raise.
_ERRORS = (
    *(OSError, SyntaxError, ValueError, TypeError, AttributeError, AssertionError, RuntimeError),
    *(ArithmeticError, LookupError, EOFError, struct.error, zlib.error),
)
_FILTERS = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "lanczos": Image.Resampling.LANCZOS,
}
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What undoes each EXIF orientation."""


@contextlib.contextmanager
def opened(data: bytes, uri: str, sampling: Sampling) -> Iterator[Parts]:  # noqa: ARG001 (as every decoder)
    """One part: the image as a model sees it. The format is told by the content, whatever `uri` ends in.

    Upright by its EXIF orientation, what shines through on white, the first frame of an animation. Raises `empty_file`,
    `unsupported` (no raster image that Pillow reads, or too thin a strip for the model), `too_large` by its header,
    `damaged`, all before the part is asked for; MemoryError where there is no more memory.
    """
    pixels = np.array(fitted(read(data), sampling.image))[np.newaxis]
    part = Part(visuals=(Visual("image", pixels),))
    yield Parts(1, lambda _: part)


def fitted(image: Image.Image, resizes: Sequence[Resize]) -> Image.Image:
    """An RGB image resized as a model wants it, step by step; raises as `image_size` does."""
    for resize in resizes:
        height, width = image_size(image.height, image.width, [resize])
        box = _middle(image.height, image.width, resize) if resize.how == "crop" else None
        image = image.resize((width, height), _FILTERS[resize.filter], box)
    return image


def _middle(height: int, width: int, resize: Resize) -> tuple[float, float, float, float]:
    """What of an image the crop keeps, (left, top, right, bottom) before it is resized."""
    shorter, to = min(height, width), resize.height
    tall, wide = (to if side == shorter else int(to * side / shorter) for side in (height, width))
    top, left = int((tall - resize.height) / 2), int((wide - resize.width) / 2)
    down, across = height / tall, width / wide
    return left * across, top * down, (left + resize.width) * across, (top + resize.height) * down


def read(data: bytes) -> Image.Image:
    """The whole image as RGB, upright; raises as `opened` does."""
    if not data:
        raise AssetError("empty_file", "the file has no bytes", _STEP)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(BytesIO(data), formats=_formats()) as image:
                _check_size(image)
                image.load()
                return _upright(image, _rgb(image))
        except Image.DecompressionBombError as error:
            raise AssetError("too_large", str(error), _STEP) from error
        except UnidentifiedImageError as error:
            raise _unidentified(data) from error
        except _ERRORS as error:
            raise AssetError("damaged", f"cannot be read as an image: {error}", _STEP) from error


def _formats() -> list[str]:
    Image.init()
    return [name for name in Image.OPEN if name not in _NO_RASTER]


def _unidentified(data: bytes) -> AssetError:
    """`damaged` where the first bytes are those of a format that is read, else `unsupported`."""
    for name in _formats():
        accept = Image.OPEN[name][1]
        if accept is not None and accept(data[:16]) is True:
            return AssetError("damaged", f"begins as {name} and cannot be opened", _STEP)
    return AssetError("unsupported", f"no image format that is read: begins with {data[:16]!r}", _STEP)


def _check_size(image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise AssetError("too_large", f"{image.width} x {image.height} pixels, at most {MAX_PIXELS}", _STEP)


def _upright(image: Image.Image, rgb: Image.Image) -> Image.Image:
    try:
        turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except _ERRORS:  # what cannot be read of the EXIF says nothing about the pixels
        turn = None
    return rgb if turn is None else rgb.transpose(turn)


def _rgb(image: Image.Image) -> Image.Image:
    """Any mode as RGB: sixteen bits, integers and floats scaled, not cut off; what is transparent shows white."""
    if image.mode.startswith(("I", "F")):
        image = Image.fromarray(_scaled(np.asarray(image), image.mode))
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("RGB")
    if image.mode == "LAB":
        raise AssetError("unsupported", "the colours are CIELAB", _STEP)
    return image.convert("RGB")


def _scaled(values: np.ndarray, mode: str) -> np.ndarray:
    """(h, w) as uint8: of sixteen bits all 65536 values, of wider integers and of floats the range that they use."""
    finite = np.nan_to_num(values.astype(np.float64), posinf=0, neginf=0)
    low, high = float(finite.min()), float(finite.max())
    if mode.startswith("I;16") or (mode == "I" and low >= 0 and 255 < high <= 65535):
        low, high = 0.0, 65535.0
    return np.rint((finite - low) * (255 / max(high - low, 1e-30))).astype(np.uint8)
