"""Images of every kind, each beside another decoder or a plain statement of what it shows."""

import io
import struct
import subprocess
import sys
import zlib

import av
import numpy as np
import pytest
from fixtures import FIXTURES, needs_fixtures
from PIL import Image

from smart_jobs.decode import image
from smart_jobs.records import AssetError
from smart_jobs.sampling import Resize, Sampling

AS_IT_IS = Sampling(image=())
QWEN3 = Sampling(image=(Resize(factor=32, min_pixels=4096, max_pixels=1_843_200),))

UNSUPPORTED = {
    *("bad_palette_file.gpl", "courB08.pil", "drawing.wmf", "dummy.container"),
    *("duplicate_xref_entry.pdf", "dilation8.lut", "eps__non_zero_bb.eps", "erosion4.lut"),
    *("erosion8.lut", "fli_oob__02r__notes", "fli_oob__02r__reproducing", "fli_oob__03r__reproducing"),
    *("fli_oob__04r__notes", "fli_oob__05r__notes", "fli_oob__06r__notes", "gif_header_data.pkl"),
    *("gimp_gradient.ggr", "hdf5.h5", "hopper.wal", "invalid.spider"),
    *("test-ole-file.doc", "lab.tif", "lab-red.tif"),
}
"""Files that no image format that is read accepts, and two whose colours are CIELAB."""
TOO_LARGE = ["decompression_bomb.gif"]


def read(data, sampling=AS_IT_IS, name="a"):
    with image.opened(data, name, sampling) as parts:
        assert parts.count == 1
        part = parts.part(0)
        assert parts.part(0) is part
    (visual,) = part.visuals
    assert (visual.kind, visual.times, part.start, part.end, part.page) == ("image", (), None, None, None)
    assert visual.pixels.dtype == np.uint8
    assert visual.pixels.flags.c_contiguous
    assert visual.pixels.shape[::3] == (1, 3)
    return visual.pixels[0]


def encoded(picture, form, **options):
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def reason(data, sampling=AS_IT_IS):
    with pytest.raises(AssetError) as caught:
        read(data, sampling)
    assert caught.value.step == "decode"
    return caught.value.reason


def outcome(data):
    try:
        return "read" if read(data).size else "empty"
    except AssetError as error:
        return error.reason


def picture(height=40, width=60):
    """Smooth colours that differ in every corner."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // width, y * 255 // height, 255 - x * 128 // width], -1).astype(np.uint8)


@needs_fixtures
@pytest.mark.parametrize("path", sorted(FIXTURES.glob("image/*/*")), ids=lambda path: path.name)
def test_fixture(path):
    data, name = path.read_bytes(), path.name.removeprefix("Pillow__")
    if path.parent.name == "unreadable" or name in UNSUPPORTED:
        expected = "unsupported" if name in UNSUPPORTED else "too_large" if name in TOO_LARGE else "damaged"
        assert reason(data, QWEN3) == expected
        return
    height, width, _ = read(data, QWEN3).shape
    assert height % 32 == width % 32 == 0
    assert 4096 <= height * width <= 1_843_200


@needs_fixtures
@pytest.mark.parametrize("path", sorted(FIXTURES.glob("retrieval/exercises/**/*.jpg"))[:8], ids=lambda path: path.name)
def test_photographs_look_as_to_another_decoder(path):
    with av.open(str(path)) as container:
        other = next(container.decode(video=0)).to_ndarray(format="rgb24").astype(int)
    difference = np.abs(read(path.read_bytes()).astype(int) - other)
    assert difference.mean() < 1.5


@pytest.mark.parametrize("form", ["PNG", "BMP", "WEBP", "TIFF", "GIF"])
def test_lossless_formats_look_as_to_another_decoder(form):
    colours = Image.fromarray(picture()).quantize(64).convert("RGB")
    data = encoded(colours, form, **({"lossless": True} if form == "WEBP" else {}))
    with av.open(io.BytesIO(data)) as container:
        other = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert np.array_equal(read(data), other)
    assert np.array_equal(read(data), np.asarray(colours))


UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: a[::-1].transpose(1, 0, 2),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: a.transpose(1, 0, 2)[::-1],
}
"""What is seen where a file's first row and column are what EXIF says of each orientation."""


@pytest.mark.parametrize("orientation", [*UPRIGHT, 0, 9, 255])
@pytest.mark.parametrize("form", ["PNG", "TIFF", "JPEG"])
def test_orientation(orientation, form):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(picture())
    data = encoded(stored, form, exif=exif)
    plain = np.asarray(Image.open(io.BytesIO(encoded(stored, form))))
    assert np.array_equal(read(data), UPRIGHT.get(orientation, UPRIGHT[1])(plain))


def test_broken_exif_is_no_reason_to_refuse():
    data = encoded(Image.fromarray(picture()), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert read(data).shape == (40, 60, 3)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_shows_white(mode):
    base = picture() if mode == "RGBA" else picture()[..., :1]
    alpha = np.linspace(0, 255, 40 * 60).reshape(40, 60, 1).astype(np.uint8)
    data = encoded(Image.fromarray(np.concatenate([base, alpha], -1), mode), "PNG")
    expected = base.astype(float) * alpha / 255 + 255 - alpha.astype(float)
    assert np.abs(read(data) - expected).max() <= 1


@pytest.mark.parametrize("mode", ["P", "RGB", "L", "1"])
def test_a_transparent_colour_shows_white(mode):
    black = Image.new(mode, (8, 8), 0)
    data = encoded(black, "PNG", transparency=(0, 0, 0) if mode == "RGB" else 0)
    assert (read(data) == 255).all()
    assert (read(encoded(black, "PNG")) == 0).all()


def test_sixteen_bits_are_scaled():
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    grey = np.rint(values / 257.0)
    for form in ("PNG", "TIFF", "PPM"):
        found = read(encoded(Image.fromarray(values), form)).astype(float)
        assert np.abs(found - grey[..., None]).max() <= 1, form


@pytest.mark.parametrize(
    "values",
    [
        np.linspace(-3.0, 1e6, 64, dtype=np.float32).reshape(8, 8),
        np.linspace(0.0, 1.0, 64, dtype=np.float32).reshape(8, 8),
        np.linspace(-70_000, 2**31 - 1, 64).astype(np.int32).reshape(8, 8),
        np.linspace(0, 200, 64).astype(np.int32).reshape(8, 8),
    ],
)
def test_other_numbers_are_stretched(values):
    found = read(encoded(Image.fromarray(values), "TIFF"))[..., 0]
    assert (found.min(), found.max()) == (0, 255)
    wanted = (values.astype(float) - values.min()) / (float(values.max()) - float(values.min())) * 255
    assert np.abs(found - wanted).max() <= 1


@pytest.mark.parametrize("value", [np.nan, np.inf, 3.0])
def test_numbers_without_a_range(value):
    assert read(encoded(Image.fromarray(np.full((4, 4), value, np.float32)), "TIFF")).shape == (4, 4, 3)


def test_cmyk_and_one_bit():
    cmyk = Image.fromarray(picture()).convert("CMYK")
    assert np.abs(read(encoded(cmyk, "TIFF")).astype(int) - picture()).max() <= 1
    assert np.abs(read(encoded(cmyk, "JPEG", quality=100)).astype(int) - picture()).max() <= 8
    bits = np.indices((9, 17)).sum(0) % 2 == 0
    assert np.array_equal(read(encoded(Image.fromarray(bits), "PNG")), np.repeat(bits[..., None] * np.uint8(255), 3, 2))


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animation_the_first(form):
    frames = [Image.new("RGB", (20, 10), colour) for colour in ("red", "green", "blue")]
    options = {"lossless": True} if form == "WEBP" else {}
    found = read(encoded(frames[0], form, save_all=True, append_images=frames[1:], **options))
    assert (found == [255, 0, 0]).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 150), (3, 2), (33, 31), (2000, 1)])
def test_odd_sizes(size):
    data = encoded(Image.fromarray(picture(*size)), "PNG")
    assert read(data).shape == (*size, 3)
    if max(size) > 200:
        assert reason(data, QWEN3) == "unsupported"
    else:
        assert read(data, QWEN3).shape[0] % 32 == 0


def test_a_budget_is_one_resize_to_the_size():
    large = Image.fromarray(picture(300, 500))
    expected = np.asarray(large.resize((512, 288), Image.Resampling.BICUBIC))
    assert np.array_equal(read(encoded(large, "PNG"), QWEN3), expected)


@pytest.mark.parametrize("size", [(300, 500), (500, 300), (100, 131), (224, 224), (90, 1000)])
def test_a_crop_is_the_middle_of_the_whole_resized(size):
    source = Image.fromarray(picture(*size))
    height, width = size
    wide, tall = (int(224 * side / min(size)) for side in (width, height))
    left, top = int((wide - 224) / 2), int((tall - 224) / 2)
    whole = source.resize((wide, tall), Image.Resampling.BICUBIC).crop((left, top, left + 224, top + 224))
    crop = Sampling(image=(Resize(how="crop", factor=32, height=224, width=224),))
    difference = np.abs(read(encoded(source, "PNG"), crop).astype(int) - np.asarray(whole))
    assert difference.max() <= 2


def png(width, height, rest=b""):
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", len(header)) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    return b"\x89PNG\r\n\x1a\n" + chunk + rest


@pytest.mark.parametrize(("width", "height"), [(13_378, 13_378), (2**31 - 1, 1), (1, 178_956_971)])
def test_a_bomb_is_refused_by_its_header(width, height):
    idat = struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    assert reason(png(width, height, idat)) == "too_large"


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP"])
def test_truncated(form):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = encoded(Image.fromarray(noise), form)
    for kept in (20, len(data) // 4, len(data) // 2, len(data) * 9 // 10):
        assert reason(data[:kept]) == "damaged", kept


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "empty_file"),
        (b"no image at all", "unsupported"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100), "unsupported"),
        (b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', "unsupported"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n", "unsupported"),
        (b"%PDF-1.7\n", "unsupported"),
    ],
)
def test_no_image(data, expected):
    assert reason(data) == expected


def test_the_content_says_the_format():
    assert read(encoded(Image.fromarray(picture()), "PNG"), name="a.jpg").shape == (40, 60, 3)


def test_flipped_bits_never_raise_anything_else():
    random = np.random.default_rng(0)
    for form in ("PNG", "JPEG", "GIF", "TIFF", "WEBP"):
        data = np.frombuffer(encoded(Image.fromarray(picture()), form), np.uint8)
        for _ in range(60):
            broken = data.copy()
            broken[random.integers(0, len(data), 3)] ^= np.uint8(1) << random.integers(0, 8, 3).astype(np.uint8)
            assert outcome(broken.tobytes()) in ("read", "damaged", "unsupported", "too_large")


def test_no_more_memory_is_not_the_images_fault():
    code = """
import io, resource
from PIL import Image
from smart_jobs.decode import image
from smart_jobs.sampling import Sampling
def read(side):
    data = io.BytesIO()
    Image.new("RGB", (side, side)).save(data, "PNG")
    with image.opened(data.getvalue(), "a", Sampling(image=())) as parts:
        return parts.part(0)
read(9)
resource.setrlimit(resource.RLIMIT_DATA, (200 << 20, 200 << 20))
try:
    read(9000)
except MemoryError:
    print("no memory")
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "no memory\n"
