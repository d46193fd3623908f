"""The wanted frames of a video, decoding no more than they need."""

import itertools
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field

from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from smart_jobs.decode.stream import decode, opened, packets
from smart_jobs.decode.timeline import Timeline

_SKIPS_UNUSED = frozenset({"h264", "mpeg2video", "mpeg4"})
"""Codecs whose frames to which no other refers can be left undecoded. (HEVC's mark means less than that.)"""


@dataclass(slots=True)
class Decoding:
    """One run through a file for some of its frames. `faults`: packets on the way that could not be decoded, and why.

    `disordered`: frames came out in another order than the timeline says: it must be `timeline.decoded`.
    """

    data: bytes
    timeline: Timeline
    wanted: Sequence[int]
    faults: list[tuple[int, str]] = field(default_factory=list)
    disordered: bool = False

    def frames(self) -> Generator[tuple[int, VideoFrame]]:
        """Each wanted frame that could be decoded, with its index in the timeline, in ascending order.

        The file is read from its beginning, which costs little; what is given to the decoder is each wanted frame's
        span, and of that only frames to which others refer, where the codec tells. Raises as `opened` does.
        """
        indices = {self.timeline.names[index]: index for index in self.wanted}
        count = itertools.count()
        latest = -1
        for frame in self._decoded(indices):
            name = next(count) if self.timeline.counted else frame.pts
            index = indices.get(-1 if name is None else name)
            if index is not None and not frame.is_corrupt:
                self.disordered |= index <= latest
                latest = index
                yield index, frame

    def _decoded(self, names: dict[int, int]) -> Iterator[VideoFrame]:
        runs = merged([self.timeline.spans[index] for index in self.wanted])
        with opened(self.data) as (container, stream):
            skips = stream.codec_context.codec.name in _SKIPS_UNUSED and not self.timeline.counted
            for number, packet in packets(container, stream):
                if not runs:
                    break
                first, last = runs[0]
                if number < first:
                    continue
                if skips:
                    stream.codec_context.skip_frame = "DEFAULT" if packet.pts in names else "NONREF"
                yield from self._given(stream, number, packet)
                if number == last:
                    runs.pop(0)
                    yield from self._given(stream, number, None)
                    stream.codec_context.flush_buffers()
            else:
                yield from self._given(stream, -1, None)

    def _given(self, stream: VideoStream, number: int, packet: "Packet[VideoStream] | None") -> list[VideoFrame]:
        frames, error = decode(stream, packet)
        if error:
            self.faults.append((number, error))
        elif packet is not None and packet.is_corrupt:
            self.faults.append((number, "the packet is not whole"))
        return frames


def merged(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans that overlap or touch as one, in the order of the file."""
    runs: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if runs and first <= runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], max(last, runs[-1][1]))
        else:
            runs.append((first, last))
    return runs
