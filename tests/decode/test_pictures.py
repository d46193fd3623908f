"""Videos that come as pictures, against Pillow step by step; in a sandbox as in this process."""

import io

import numpy as np
import pytest
from decoding import parts, plain, seen
from PIL import Image

from smart_jobs.decode.opening import Wanted
from smart_jobs.decode.sandbox import Sandbox
from smart_jobs.keys import Decode
from smart_jobs.records import AssetError
from smart_jobs.sampling import Frames, Resize, Sampling, listed_sizes

ONE_SIZE = Frames(factor=32, min_pixels=1024, max_pixels=64 * 1024)
BUDGET = Frames(factor=32, min_pixels=1024, max_pixels=32 * 1024, total_pixels=64 * 1024)


def picture(seed=0, size=(90, 70), kind="png", **options):
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def wanted(files, video=ONE_SIZE, **sampling):
    named = tuple((f"f/{i}.png", len(data)) for i, data in enumerate(files))
    return Wanted("f/0.png", "frame", Sampling(image=(Resize(factor=32),), video=video, **sampling), frames=named)


def one(files, video=ONE_SIZE):
    [part] = parts(b"".join(files), wanted(files, video))
    return part.visuals


def by_hand(data, count, video):
    image = Image.open(io.BytesIO(data)).convert("RGB")
    for height, width in listed_sizes(image.height, image.width, count, video):
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(image)


@pytest.mark.parametrize("video", [ONE_SIZE, BUDGET])
@pytest.mark.parametrize(("count", "filled"), [(1, 2), (2, 2), (3, 4), (8, 8)])
def test_all_of_them_are_one_video(video, count, filled):
    files = [picture(i) for i in range(count)]
    [visual] = one(files, video)
    assert (visual.kind, visual.times) == ("video", tuple(i / 2 for i in range(filled)))
    assert len(listed_sizes(70, 90, filled, video)) == (2 if video is BUDGET else 1)
    for place, pixels in enumerate(visual.pixels):
        np.testing.assert_array_equal(pixels, by_hand(files[min(place, count - 1)], filled, video))


def test_the_share_of_each_is_that_of_the_filled_video():
    sizes = [one([picture(i, (400, 400)) for i in range(count)], BUDGET)[0].pixels.shape for count in (7, 8, 9)]
    assert sizes == [(8, 128, 128, 3), (8, 128, 128, 3), (10, 96, 96, 3)]


def test_pictures_are_upright_and_in_any_format():
    exif = Image.Exif()
    exif[0x0112] = 6
    files = [picture(0, (64, 96)), picture(1, (96, 64), "jpeg", exif=exif), picture(2, (64, 96), "webp")]
    [visual] = one(files)
    assert visual.pixels.shape == (4, 96, 64, 3)


def test_a_model_that_sees_frames_as_images_gets_images():
    files = [picture(i, size) for i, size in enumerate([(90, 70), (64, 128)])]
    visuals = one(files, Frames(factor=32, as_images=True, max_frames=4))
    assert [(visual.kind, visual.pixels.shape, visual.times) for visual in visuals] == [
        ("image", (1, 64, 96, 3), ()),
        ("image", (1, 128, 64, 3), ()),
    ]


@pytest.mark.parametrize(
    ("files", "reason", "said"),
    [
        ([picture(), picture(1)[:500], picture()], "damaged", "f/1.png: cannot be read as an image"),
        ([picture(), b""], "empty_file", "f/1.png: the file has no bytes"),
        ([b"%PDF-1.7", picture()], "unsupported", "f/0.png: no image format"),
        ([picture(), picture(1), picture(2, (200, 70))], "unsupported", "f/2.png comes out 192 x 64, the first frame"),
    ],
)
def test_one_bad_picture_is_the_error_of_all(files, reason, said):
    with pytest.raises(AssetError) as caught:
        one(files)
    assert caught.value.reason == reason
    assert caught.value.detail.startswith(said)
    with pytest.raises(AssetError, match=reason) as watched:
        list(Sandbox(Decode()).parts(b"".join(files), wanted(files)))
    assert watched.value.detail == caught.value.detail


def test_a_model_without_videos_takes_none():
    with pytest.raises(AssetError, match="unsupported"):
        list(parts(picture(), Wanted("a", "frame", seen(video=False), frames=(("a", len(picture())),))))


def test_a_sandbox_gives_the_same_and_goes_on():
    files = [picture(i, kind="jpeg") for i in range(5)]
    sandbox = Sandbox(Decode())
    bad = [files[0], files[1][:300]]
    for _ in range(2):
        asked = wanted(files, BUDGET)
        [ours] = parts(b"".join(files), asked)
        [theirs] = sandbox.parts(b"".join(files), asked)
        assert plain(theirs) == plain(ours)
        with pytest.raises(AssetError, match="damaged"):
            list(sandbox.parts(b"".join(bad), wanted(bad)))
