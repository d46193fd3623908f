"""When each frame of a video is shown, and which packets it takes to decode it."""

import bisect
import itertools
import statistics
from dataclasses import dataclass

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from smart_jobs.decode.stream import STEP, decode, opened, packets
from smart_jobs.records import AssetError

_NO_TIMES = "avi"
"""A container whose packets have no times of their own: FFmpeg counts them, which B-frames make wrong."""

_SAYS_LENGTH = ("matroska,webm", "flv")
"""Containers without an index of all packets whose headers can be relied on for how long they last, ..."""

_SLACK = 1.0
"""... give or take so many seconds."""

_EXACT = 1e-6
"""What a sum of seconds may be off."""

Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Timeline:
    """The frames of a stream that are shown, in the order in which they are; n of them.

    `times` (n): seconds from the first. `names` (n): what the decoder calls each: its pts, or its number among all that
    it gives where those say nothing (`counted`). `spans` (n): the first and the last packet that it takes to decode it,
    by their numbers in the file. `duration` includes the last frame; `gaps` are the seconds that are not there or that
    the decoder refused. `origin` and `tick` make seconds of a pts.
    """

    times: list[float]
    names: list[int]
    spans: list[tuple[int, int]]
    duration: float
    gaps: list[Span]
    counted: bool
    origin: int
    tick: float

    def seconds(self, pts: int | None) -> float:
        """When a frame or a packet of this pts is shown; 0 where it has none."""
        return 0.0 if pts is None else (pts - self.origin) * self.tick

    def at(self, time: float) -> int:
        """The index of the frame that is on the screen then: the last that is not later."""
        return max(0, bisect.bisect_right(self.times, time + _EXACT) - 1)

    def before(self, time: float) -> int:
        """The index of the last frame that is shown before a time."""
        return max(0, bisect.bisect_left(self.times, time - _EXACT) - 1)


@dataclass(frozen=True, slots=True)
class _Packet:
    pts: int | None
    length: int
    key: bool
    shown: bool

    @staticmethod
    def of(packet: "Packet[VideoStream]") -> "_Packet":
        return _Packet(packet.pts, packet.duration or 0, packet.is_keyframe, not packet.is_discard)


def read(data: bytes) -> Timeline:
    """From the packets alone where they tell it, which takes milliseconds; else as `decoded`. Raises as `opened` does.

    Frames that are decoded but not shown (an edit list) are left out, and those that no keyframe comes before. Raises
    `empty` where nothing is left.
    """
    with opened(data) as (container, stream):
        found = [_Packet.of(packet) for _, packet in packets(container, stream)]
        if not (container.format.name == _NO_TIMES and stream.codec_context.has_b_frames):
            end = _said_end(data, container, stream)
            timeline = _by_packets(found, float(stream.time_base or 1), end, _leading(data, found))
            if timeline is not None:
                return timeline
    return decoded(data)


def _leading(data: bytes, found: list[_Packet]) -> set[int]:
    """The pts of the frames that are shown before the first keyframe, come after it in the file, and can be decoded.

    They cannot where a cut has taken away what they refer to.
    """
    key = next((number for number, packet in enumerate(found) if packet.key), len(found))
    early = [number for number in range(key + 1, len(found)) if (found[number].pts or 0) < (found[key].pts or 0)]
    if not early:
        return set()
    come: list[VideoFrame] = []
    with opened(data) as (container, stream):
        for number, packet in packets(container, stream):
            if number > early[-1]:
                break
            if number >= key:
                come += decode(stream, packet)[0]
        come += decode(stream, None)[0]
    return {frame.pts for frame in come if frame.pts is not None}


def _by_packets(found: list[_Packet], tick: float, said_end: float, leading: set[int]) -> Timeline | None:
    """None where a packet has no time, two have the same, or keyframes are not marked."""
    placed = [(packet.pts, number) for number, packet in enumerate(found) if packet.pts is not None]
    keys = [entry for entry in placed if found[entry[1]].key]
    if not keys or len(placed) < len(found) or keys != sorted(keys):
        return None
    after = [entry for entry in placed[keys[0][1] :] if found[entry[1]].shown]
    shown = sorted(entry for entry in after if entry[0] >= keys[0][0] or entry[0] in leading)
    names = [pts for pts, _ in shown]
    if not names or len(set(names)) < len(names):
        return None
    starts = [pts for pts, _ in keys]
    firsts = [keys[max(0, bisect.bisect_right(starts, pts) - 1)][1] for pts in names]
    spans = [(min(first, number), number) for first, (_, number) in zip(firsts, shown, strict=True)]
    times = [(pts - names[0]) * tick for pts in names]
    duration = times[-1] + (found[shown[-1][1]].length * tick or _usual(times))
    said = said_end - names[0] * tick
    gaps = [(duration, said)] if said > duration else []
    return Timeline(times, names, spans, max(duration, said), gaps, False, names[0], tick)


def _usual(times: list[float]) -> float:
    """How long a frame is shown."""
    return statistics.median(b - a for a, b in itertools.pairwise(times)) if len(times) > 1 else 0.0


def _said_end(data: bytes, container: InputContainer, stream: VideoStream) -> float:
    """The time at which the stream ends by its header where the file ends before that; else 0."""
    entries = stream.index_entries
    if len(entries) and entries[-1].pos + entries[-1].size > len(data):
        return (entries[-1].timestamp + 1) * float(stream.time_base or 1)
    said = ((container.start_time or 0) + (container.duration or 0)) / av.time_base
    if container.format.name in _SAYS_LENGTH and said > _SLACK + _last_end(data):
        return said
    return 0.0


def _last_end(data: bytes) -> float:
    """When the last packet of any stream ends."""
    with opened(data) as (container, _):
        ends = [
            (packet.pts + (packet.duration or 0)) * float(packet.time_base)
            for _, packet in packets(container)
            if packet.pts is not None
        ]
    return max(ends, default=0.0)


def decoded(data: bytes) -> Timeline:
    """By decoding all of it: for files whose packets do not tell. Raises as `read` does.

    The frames come in their order but may have each other's times: those are given to them in ascending order. From a
    packet that cannot be decoded up to the next keyframe is a gap.
    """
    with opened(data) as (container, stream):
        passed = _Pass([], [], [], "")
        number = -1
        for number, packet in packets(container, stream):
            passed.give(stream, number, packet)
        passed.give(stream, number + 1, None)
        rate, tick = float(stream.average_rate or 25), float(stream.time_base or 1)
        said_end = _said_end(data, container, stream)
    if not passed.pts:
        raise AssetError("damaged", f"no frame can be decoded: {passed.error}", STEP) if passed.error else _empty()
    known = sorted(pts for pts in passed.pts if pts is not None)
    whole = len(known) == len(passed.pts)
    times = [(pts - known[0]) * tick for pts in known] if whole else [at / rate for at in range(len(passed.pts))]
    ends = times[-1] + (_usual(times) or 1 / rate)
    gaps = [(times[max(0, a - 1)], times[b] if b < len(times) else ends) for a, b in passed.gaps()]
    origin = known[0] if known else 0
    said = said_end - origin * tick
    gaps += [(ends, said)] if said > ends else []
    spans = [(0, last) for last in passed.lasts]
    return Timeline(times, list(range(len(times))), spans, max(ends, said), gaps, True, origin, tick)


def _empty() -> AssetError:
    return AssetError("empty", "a video stream without any frame", STEP)


@dataclass(slots=True)
class _Pass:
    """What came out while a stream was decoded: each frame's pts, and after which packet it came.

    `states`: how many frames had come when a packet could not be decoded (True), or was a keyframe that could.
    """

    pts: list[int | None]
    lasts: list[int]
    states: list[tuple[int, bool]]
    error: str

    def give(self, stream: VideoStream, number: int, packet: "Packet[VideoStream] | None") -> None:
        frames, error = decode(stream, packet)
        if error or (packet is not None and packet.is_keyframe):
            self.states.append((len(self.pts), bool(error)))
        self.error = self.error or error
        self.pts += [frame.pts for frame in frames]
        self.lasts += [number] * len(frames)

    def gaps(self) -> list[tuple[int, int]]:
        """From the frame at which decoding failed to that of the next keyframe."""
        ends = [(count, bad) for count, bad in self.states if not bad]
        return [
            (count, next((end for end, _ in ends if end > count), len(self.pts))) for count, bad in self.states if bad
        ]
