"""The frames of a clip, chosen and resized: ours beside decord and PyAV.

    python -m tests.bench.video [--repeats 3] [--minutes 1 10]

Makes its own clips, 720p at 30 frames a second in H.264 with keyframes 48 and 250 frames apart, without and with
B-frames; the longer ones repeat a minute. Takes 60 frames of one minute and 64 of ten, as Qwen3-VL has them, each way
in turn: ours; decord as it comes (`get_batch` of the same frames); PyAV as it comes, decoding all. What is not ours
resizes as ours does. The limit is what it takes to decode the packets that ours decodes, and nothing else. A frame is
another where a pixel is off by more than 8 of 255.
"""

import argparse
import io
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av
import decord
import numpy as np
from PIL import Image

from smart_jobs.decode import video
from smart_jobs.decode.frames import Decoding, merged
from smart_jobs.decode.timeline import read
from smart_jobs.sampling import Frames, Resize, Sampling

HEIGHT, WIDTH, RATE = 720, 1280, 30
SAMPLING = Sampling(
    image=(Resize(factor=32, min_pixels=4096, max_pixels=1_843_200),),
    video=Frames(min_pixels=131_072, max_pixels=786_432, total_pixels=7_864_320),
)
CODINGS = [("keyframe every 48, no B-frames", 48, 0), ("keyframe every 250, B-frames", 250, 2)]

Pictures = list[np.ndarray]


def main() -> None:
    """Every clip, every way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--minutes", type=int, nargs="+", default=[1, 10])
    options = parser.parse_args()
    decord.logging.set_level(decord.logging.QUIET)
    for name, gop, between in CODINGS:
        minute = made(gop, between)
        for minutes in options.minutes:
            measure(f"{minutes} min, {name}", minute if minutes == 1 else repeated(minute, minutes), options.repeats)


def made(gop: int, between: int) -> bytes:
    """A minute of a grainy texture that moves."""
    random = np.random.default_rng(0)
    blocks = np.kron(random.integers(16, 220, (HEIGHT // 16, WIDTH // 16)), np.ones((16, 16), np.uint8))
    texture = (blocks + random.integers(0, 12, (HEIGHT, WIDTH))).astype(np.uint8)
    grey = np.full((HEIGHT // 2, WIDTH), 128, np.uint8)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        stream.codec_context.options = {
            "preset": "ultrafast",
            "crf": "26",
            "x264-params": f"keyint={gop}:min-keyint={gop}:scenecut=0:bframes={between}:b-adapt=0:cabac=1:deblock=1",
        }
        for index in range(60 * RATE):
            planes = np.concatenate([np.roll(texture, (2 * index, 4 * index), (0, 1)), grey])
            picture = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            picture.pts = index
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def repeated(data: bytes, times: int) -> bytes:
    """The same packets again and again."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.mp4"
        with av.open(str(path), "w") as target:
            stream = None
            for index in range(times):
                with av.open(io.BytesIO(data)) as source:
                    stream = stream or target.add_stream_from_template(source.streams.video[0])
                    offset = index * source.streams.video[0].duration
                    for packet in source.demux(video=0):
                        if packet.size:
                            packet.pts, packet.dts, packet.stream = packet.pts + offset, packet.dts + offset, stream
                            target.mux(packet)
        return path.read_bytes()


def measure(name: str, data: bytes, repeats: int) -> None:
    """Each way in turn; prints medians of wall and processor time, and each repeat's ratio to ours."""
    with video.opened(data, name, SAMPLING, "fast") as parts:
        (truth,) = parts.part(0).visuals
    wanted = [round(seconds * RATE) for seconds in truth.times]
    height, width = truth.pixels.shape[1:3]
    timeline = read(data)
    needed = sum(last - first + 1 for first, last in merged([timeline.spans[index] for index in wanted]))
    ways: dict[str, Callable[[], Pictures]] = {
        "ours": lambda: by_ours(data),
        "decord": lambda: by_decord(data, wanted, height, width),
        "PyAV, all": lambda: by_pyav(data, wanted, height, width),
        "limit": lambda: only_decoded(data, wanted),
    }
    times: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    others = dict.fromkeys(ways, 0)
    for _ in range(repeats):
        for way, take in ways.items():
            wall, cpu = time.perf_counter(), time.process_time()
            pictures = take()
            times[way].append((time.perf_counter() - wall, time.process_time() - cpu))
            others[way] = max(others[way], sum(map(other, pictures, truth.pixels)))
    print(f"\n{name}: {len(data) / 1e6:.0f} MB, {len(wanted)} frames of {width} x {height}, packets decoded: "
          f"{needed} of {len(timeline.times)}; {repeats} repeats, load {os.getloadavg()[0]:.1f}")  # fmt: skip
    for way, measured in times.items():
        seconds, cpu = (statistics.median(column) for column in zip(*measured, strict=True))
        ratio = statistics.median(a[0] / b[0] for a, b in zip(measured, times["ours"], strict=True))
        busy = statistics.median(a[1] / b[1] for a, b in zip(measured, times["ours"], strict=True))
        print(f"  {way:<10} {1e3 * seconds:7.0f} ms  {ratio:5.2f} x ours   processor {1e3 * cpu:7.0f} ms  {busy:5.2f} x"
              f"   {others[way]} other frames", flush=True)  # fmt: skip


def other(found: np.ndarray, truth: np.ndarray) -> bool:
    """Whether it is another frame."""
    return bool(np.abs(found.astype(np.int16) - truth).max() > 8)


def by_ours(data: bytes) -> Pictures:
    """As an actor does it."""
    with video.opened(data, "a", SAMPLING, "fast") as parts:
        return list(parts.part(0).visuals[0].pixels)


def by_decord(data: bytes, wanted: list[int], height: int, width: int) -> Pictures:
    """With its default number of threads."""
    reader = decord.VideoReader(io.BytesIO(data))
    return [resized(pixels, height, width) for pixels in reader.get_batch(wanted).asnumpy()]


def by_pyav(data: bytes, wanted: list[int], height: int, width: int) -> Pictures:
    """With its default number of threads."""
    chosen = set(wanted)
    with av.open(io.BytesIO(data)) as container:
        return [
            resized(picture.to_ndarray(format="rgb24"), height, width)
            for index, picture in enumerate(container.decode(video=0))
            if index in chosen
        ]


def only_decoded(data: bytes, wanted: list[int]) -> Pictures:
    """None: the frames are not even looked at."""
    for _ in Decoding(data, read(data), wanted).frames():
        pass
    return []


def resized(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """As ours."""
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC))


if __name__ == "__main__":
    main()
