"""Videos: each chosen frame says its number, and other decoders say what it looks like and when it is shown."""

import io
import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest
from fixtures import FIXTURES, needs_fixtures
from PIL import Image
from video_making import HEIGHT, WIDTH, frame, number, plain, video

from smart_jobs.decode import timeline
from smart_jobs.decode import video as ours
from smart_jobs.records import AssetError
from smart_jobs.sampling import Frames, Resize, Sampling, clips, frame_count, frame_times

NUMBERS = range(1, 61)
IMAGE = (Resize(factor=32, min_pixels=4096, max_pixels=1_843_200),)


def sampling(**policy):
    return Sampling(image=IMAGE, video=Frames(**policy))


def parts(data, integrity="fast", order=None, **policy):
    with ours.opened(data, "a", sampling(**policy), integrity) as found:
        return [found.part(index) for index in (range(found.count) if order is None else order)]


def numbers(part):
    (visual,) = part.visuals
    assert visual.kind == "video"
    assert visual.pixels.dtype == np.uint8
    assert visual.pixels.flags.c_contiguous
    assert visual.pixels.shape[3] == 3
    assert len(visual.times) == len(visual.pixels)
    return [(time, number(pixels)) for time, pixels in zip(visual.times, visual.pixels, strict=True)]


def reason(data, **policy):
    with pytest.raises(AssetError) as caught:
        parts(data, **policy)
    assert caught.value.step == "decode"
    return caught.value.reason


def chosen(times, start, end, policy):
    """The rule once more, brute force: of the frames on the screen in the clip, those at evenly spread times."""
    before = [index for index, time in enumerate(times) if time < end - 1e-6]
    last = max(start, times[before[-1]])
    count = frame_count(end - start, policy)
    wanted = frame_times(start, last, count)
    picked = [max(index for index, time in enumerate(times) if time <= at + 1e-6) for at in wanted]
    picked = sorted(set(picked))
    return picked + picked[-1:] * (-len(picked) % policy.multiple)


KINDS = {
    "h264": {},
    "h264 B-frames": {"bf": 3, "g": 24, "preset": "veryfast"},
    "h264 open GOP": {"bf": 3, "g": 10, "x264-params": "open-gop=1:b-pyramid=strict"},
    "h264 one keyframe": {"form": "matroska", "g": 250},
    "h264 flv": {"form": "flv", "bf": 2},
    "h264 ts": {"form": "mpegts", "bf": 2},
    "h264 avi": {"form": "avi", "bf": 2},
    "h265": {"codec": "libx265", "bf": 3, "g": 15, "x265-params": "log-level=none"},
    "mpeg2 ts": {"form": "mpegts", "codec": "mpeg2video", "bf": 2, "rate": 25},
    "mpeg2 ps": {"form": "mpeg", "codec": "mpeg2video", "bf": 2, "rate": 25},
    "mpeg4": {"codec": "mpeg4", "bf": 2, "rate": 25},
    "mpeg4 avi": {"form": "avi", "codec": "mpeg4", "bf": 2, "rate": 25},
    "vp8": {"form": "webm", "codec": "libvpx"},
    "vp9": {"form": "webm", "codec": "libvpx-vp9", "auto-alt-ref": 1, "lag-in-frames": 16},
    "av1": {"codec": "libsvtav1", "g": 20, "svtav1-params": "keyint=20"},
    "mjpeg": {"form": "mov", "codec": "mjpeg", "pix_fmt": "yuvj420p"},
}
POLICIES = [
    {"fps": 3},
    {"fps": 100},
    {"fps": 1, "clip_seconds": 1.0},
    {"fps": 2, "clip_seconds": 0.7, "multiple": 3},
    {"fps": 4, "max_frames": 4, "multiple": 1},
]


@pytest.mark.parametrize("kind", KINDS)
def test_the_right_frames(kind):
    data = video(NUMBERS, **KINDS[kind])
    truth = plain(data)
    assert [number(pixels) for _, pixels in truth] == list(NUMBERS)
    times = [time for time, _ in truth]
    for policy in POLICIES:
        found = parts(data, **policy)
        spans = [(part.start, part.end) for part in found]
        assert spans == clips(spans[-1][1], Frames(**policy))
        assert times[-1] < spans[-1][1] <= times[-1] + 0.2
        for (start, end), part in zip(spans, found, strict=True):
            expected = chosen(times, start, end, Frames(**policy))
            assert numbers(part) == [(pytest.approx(times[at], abs=1e-3), NUMBERS[at]) for at in expected]
            assert np.array_equal(part.visuals[0].pixels, np.stack([truth[at][1] for at in expected]))


def test_frames_by_their_times_where_the_rate_varies():
    random = np.random.default_rng(0)
    pts = (700 + np.cumsum(random.choice([5, 33, 40, 900], 60, p=[0.2, 0.4, 0.3, 0.1]))).tolist()
    data = video(NUMBERS, "matroska", pts=pts, bf=2)
    times = [(value - pts[0]) / 1000 for value in pts]
    for policy in POLICIES:
        for part in parts(data, **policy):
            picked = chosen(times, part.start, part.end, Frames(**policy))
            assert numbers(part) == [(pytest.approx(times[at], abs=2e-3), NUMBERS[at]) for at in picked]


def test_a_frame_stays_on_the_screen_in_the_clips_that_follow():
    data = video([1, 2, 3], "matroska", pts=[0, 4000, 4100])
    found = parts(data, clip_seconds=1.0)
    assert [[value for _, value in numbers(part)] for part in found] == [[1, 1]] * 3 + [[1, 3]]


@pytest.mark.parametrize("order", [[3, 0, 4, 4, 1], [5, 4, 3, 2, 1, 0], [0, 2, 3], [2, 3, 4, 5]])
def test_parts_in_any_order(order):
    data = video(NUMBERS, bf=2, g=24)
    straight = [numbers(part) for part in parts(data, clip_seconds=1.0)]
    assert [numbers(part) for part in parts(data, order=order, clip_seconds=1.0)] == [straight[at] for at in order]


def test_one_frame_is_repeated_to_the_multiple():
    (part,) = parts(video([9]))
    assert numbers(part) == [(0.0, 9)] * 2


def test_frames_as_images():
    data = video(range(1, 12))
    (part,) = parts(data, as_images=True, min_frames=1, max_frames=1)
    (visual,) = part.visuals
    assert (visual.kind, visual.times, visual.pixels.shape) == ("image", (), (1, 64, 192, 3))
    assert number(visual.pixels[0]) == 6
    (part,) = parts(data, as_images=True, fps=2, multiple=7, min_pixels=10**6)
    assert [number(visual.pixels[0]) for visual in part.visuals] == [1, 11]


def test_the_size_is_qwens_and_the_filter_pillows():
    data = video(NUMBERS)
    (part,) = parts(data, fps=1, min_pixels=131_072, max_pixels=786_432, total_pixels=7_864_320)
    (visual,) = part.visuals
    assert visual.pixels.shape == (6, 224, 640, 3)
    with av.open(io.BytesIO(data)) as container:
        first = next(container.decode(video=0)).to_image()
    assert np.array_equal(visual.pixels[0], np.asarray(first.resize((640, 224), Image.Resampling.BICUBIC)))


def test_what_it_looks_like():
    (part,) = parts(video(NUMBERS, crf=10), fps=3)
    for (_, value), pixels in zip(numbers(part), part.visuals[0].pixels, strict=True):
        assert pixels.shape == (HEIGHT, WIDTH, 3)
        assert np.abs(pixels.astype(int) - frame(value)).mean() < 4


GOOD = sorted([*FIXTURES.glob("video/good/*"), *FIXTURES.glob("video/clips/*.m[kp]*")])


@needs_fixtures
@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.name[-40:])
def test_good_fixture(path):
    data = path.read_bytes()
    (part,) = parts(data, fps=4, max_frames=16, min_pixels=131_072)
    (visual,) = part.visuals
    with av.open(io.BytesIO(data)) as container:
        pictures = [(one.time, one.rotation % 180) for one in container.decode(video=0)]
    times = sorted(time - pictures[0][0] for time, _ in pictures)
    if path.suffix != ".avi":
        picked = chosen(times, part.start, part.end, Frames(fps=4, max_frames=16))
        assert visual.times == pytest.approx([times[at] for at in picked], abs=2e-3)
    assert len(visual.times) <= 16
    assert part.end >= times[-1]
    height, width = visual.pixels.shape[1:3]
    assert height % 32 == width % 32 == 0
    assert 131_072 <= height * width <= 137_625 or height * width > 131_072


HOSTILE = {
    "audio-only": "unsupported",
    "no-streams": "unsupported",
    "unopenable": "damaged",
    "decode-error": "damaged",
    "zero-frames": "damaged",
    "bear_with_vorbis_comments_invalid_mutf8.flac": "unsupported",
    "sample_with_id3.adts": "unsupported",
    "sample_with_sdt.ts": "empty",
}
"""By the end of the name, else by the folder. Sound with a cover is no video."""


@needs_fixtures
@pytest.mark.parametrize("path", sorted(FIXTURES.glob("video/hostile/*/*")), ids=lambda path: path.name[-40:])
def test_hostile_fixture(path):
    expected = next((value for name, value in HOSTILE.items() if path.name.endswith(name)), HOSTILE[path.parent.name])
    try:
        (found,) = parts(path.read_bytes(), integrity="full")
    except AssetError as error:
        found = error
    assert isinstance(found, AssetError)
    assert found.reason == expected


@pytest.mark.parametrize(("form", "kept"), [("mp4", 0.5), ("mp4", 0.9), ("matroska", 0.5), ("flv", 0.5), ("mov", 0.6)])
def test_what_a_truncated_file_lacks_is_damaged(form, kept):
    data = video(range(1, 121), form, bf=2)
    if form == "mov":
        data = video(range(1, 121), "mp4", bf=2, rate=5)
    found = parts(data[: int(len(data) * kept)], clip_seconds=2.0, fps=2)
    whole = [part for part in found if not isinstance(part, AssetError)]
    lost = [part for part in found if isinstance(part, AssetError)]
    assert found == [*whole, *lost]
    assert whole
    assert lost
    assert {error.reason for error in lost} == {"damaged"}
    assert all("s" in error.detail for error in lost)
    undamaged = parts(data, clip_seconds=2.0, fps=2)[: len(whole)]
    assert [numbers(part) for part in whole] == [numbers(part) for part in undamaged]


def packets(data):
    """Where each packet of the video lies: seconds, first byte, bytes, whether it is a keyframe."""
    with av.open(io.BytesIO(data)) as container:
        return [
            (float(packet.pts * packet.time_base), packet.pos, packet.size, packet.is_keyframe)
            for packet in container.demux(video=0)
            if packet.size
        ]


def broken(data, at):
    """The packet shown at this time, with its middle overwritten."""
    _, start, size, _ = next(packet for packet in packets(data) if abs(packet[0] - at) < 0.01)
    return data[: start + size // 4] + bytes(size // 2) + data[start + size // 4 + size // 2 :]


@pytest.mark.parametrize("at", [2.4, 3.6])
def test_full_integrity_finds_what_the_decoder_hides(at):
    data = video(range(1, 61), g=12, crf=5, preset="veryfast")
    found = parts(broken(data, at), integrity="full", clip_seconds=1.2, fps=1)
    bad = [index for index, part in enumerate(found) if isinstance(part, AssetError)]
    assert bad == [int(at / 1.2 + 1e-6)]
    assert f"the first at {at:.2f} s" in found[bad[0]].detail
    assert all(not isinstance(part, AssetError) for part in parts(data, integrity="full", clip_seconds=1.2, fps=1))


def test_a_frame_that_does_not_decode_is_never_replaced():
    data = video(range(1, 61), codec="mpeg4", g=12, rate=10)
    _, start, size, _ = packets(data)[30]
    damaged = data[:start] + bytes(size) + data[start + size :]
    found = parts(damaged, clip_seconds=1.2, fps=10)
    assert [isinstance(part, AssetError) for part in found] == [False, False, True, False, False]
    assert "3.00 s" in found[2].detail


def test_flipped_bits_never_raise_anything_else():
    random = np.random.default_rng(0)
    for form, codec in (("mp4", "libx264"), ("matroska", "libx264"), ("mpegts", "mpeg2video")):
        data = np.frombuffer(video(range(1, 31), form, codec, rate=25, bf=2), np.uint8)
        for _ in range(25):
            flipped = data.copy()
            flipped[random.integers(0, len(data), 4)] ^= np.uint8(1) << random.integers(0, 8, 4).astype(np.uint8)
            try:
                found = parts(flipped.tobytes(), clip_seconds=0.5)
            except AssetError as error:
                found = [error]
            for part in found:
                if isinstance(part, AssetError):
                    assert part.reason in ("damaged", "unsupported", "empty", "too_large")
                else:
                    assert numbers(part)


def test_rotation_is_applied():
    """tests/decode/test_jumping.py has real ones."""
    data = video([5])
    unity = np.array([1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30], ">i4").tobytes()
    turned = np.array([0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30], ">i4").tobytes()
    at = data.index(b"tkhd")
    assert data.index(unity, at) - at < 60
    with ours.opened(data[:at] + data[at:].replace(unity, turned, 1), "a", sampling(), "fast") as found:
        (visual,) = found.part(0).visuals
    assert visual.pixels.shape == (2, WIDTH, HEIGHT, 3)
    assert number(np.rot90(visual.pixels[0])) == 5


@pytest.mark.parametrize(
    ("data", "expected"),
    [(b"", "empty_file"), (b"no video at all", "damaged"), (b"ffconcat version 1.0\nfile {}\n", "damaged")],
)
def test_no_video(data, expected, tmp_path, monkeypatch):
    (tmp_path / "other.mp4").write_bytes(video([1]))
    monkeypatch.chdir(tmp_path)
    assert reason(data.replace(b"{}", b"other.mp4")) == expected


def test_a_model_that_takes_no_video():
    with pytest.raises(AssetError, match="unsupported"), ours.opened(video([1]), "a", Sampling(image=IMAGE), "fast"):
        pass


def test_too_large_by_its_header():
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="nut") as container:
        stream = container.add_stream("rawvideo", rate=10)
        stream.width, stream.height, stream.pix_fmt = 20_000, 10_000, "gray"
        packet = av.Packet(b"x" * 100)
        packet.stream, packet.pts, packet.dts, packet.time_base = stream, 0, 0, Fraction(1, 10)
        container.mux(packet)
    assert reason(buffer.getvalue()) == "too_large"


def test_no_more_memory_is_not_the_videos_fault(tmp_path):
    for name, side in (("small", 64), ("large", 4096)):
        (tmp_path / name).write_bytes(video([1], codec="mpeg4", rate=25, height=side, width=side))
    code = """
import resource, sys
from pathlib import Path
from smart_jobs.decode import video
from smart_jobs.sampling import Frames, Sampling
def read(path):
    with video.opened(Path(path).read_bytes(), "a", Sampling(image=(), video=Frames()), "fast") as parts:
        return parts.part(0).visuals[0].pixels.shape
print(read(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_DATA, (100 << 20, 100 << 20))
try:
    read(sys.argv[2])
except MemoryError:
    print("no memory")
"""
    command = [sys.executable, "-c", code, tmp_path / "small", tmp_path / "large"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout == "(2, 64, 64, 3)\nno memory\n", done.stderr


def test_what_is_missing_is_known_without_the_packets_times():
    data = video(range(1, 121), bf=2)
    short = timeline.decoded(data[: len(data) // 2])
    assert short.counted
    assert short.duration == pytest.approx(timeline.read(data).duration, abs=0.31)
    assert short.gaps[-1] == (pytest.approx(short.times[-1], abs=0.4), short.duration)
    whole = timeline.decoded(data)
    assert whole.gaps == []
    assert whole.times == pytest.approx(timeline.read(data).times)
