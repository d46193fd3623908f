"""The video stream of a file in memory and its packets. The one place that opens a video.

By PyAV, whose frames say when they are shown; `jumping.py` has decord's.
"""

import contextlib
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from smart_jobs.decode.image import MAX_PIXELS
from smart_jobs.records import AssetError

STEP = "decode"
_STILL = Disposition.attached_pic | Disposition.still_image | Disposition.timed_thumbnails
# A playlist is told by its content, too: nothing but these bytes may be opened.
_OPTIONS = {"protocol_whitelist": "none"}


@contextlib.contextmanager
def opened(data: bytes) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The file and its best video stream, to be decoded by one thread: each actor that decodes has one core.

    Raises AssetError `damaged` (no known container), `unsupported` (no video stream, or none that can be decoded; the
    cover of an album is none) and `too_large`.
    """
    try:
        container = av.open(BytesIO(data), "r", options=_OPTIONS, metadata_errors="ignore")
    except MemoryError:
        raise
    except av.FFmpegError as error:
        raise AssetError("damaged", f"cannot be opened as a video: {error.strerror}", STEP) from error
    with container:
        stream = _best(container)
        context = stream.codec_context
        if context.width * context.height > MAX_PIXELS:
            detail = f"{context.width} x {context.height} pixels in a frame, at most {MAX_PIXELS}"
            raise AssetError("too_large", detail, STEP)
        context.thread_count = 1
        yield container, stream


def _best(container: InputContainer) -> VideoStream:
    streams = [stream for stream in container.streams.video if not stream.disposition & _STILL]
    if not streams:
        kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "none at all"
        raise AssetError("unsupported", f"no video stream among its streams: {kinds}", STEP)
    best = container.streams.best("video")
    chosen = next((stream for stream in streams if best is not None and stream.index == best.index), streams[0])
    if chosen.codec_context is None:
        raise AssetError("unsupported", "no decoder knows the codec of its video stream", STEP)
    return chosen


def packets(container: InputContainer, *streams: VideoStream) -> "Iterator[tuple[int, Packet[Any]]]":
    """What is to be decoded, numbered as it stands in the file; ends where the file can be read no further.

    Without a stream, those of all.
    """
    source = iter(container.demux(*streams))
    number = 0
    while True:
        try:
            packet = next(source)
        except MemoryError:
            raise
        except (av.FFmpegError, StopIteration):
            return
        if packet.size:
            yield number, packet
            number += 1


def decode(stream: VideoStream, packet: "Packet[VideoStream] | None") -> tuple[list[VideoFrame], str]:
    """The frames that come out when a packet goes in (None: all that are still inside), and what was wrong with it."""
    try:
        return stream.codec_context.decode(packet), ""
    except MemoryError:
        raise
    except av.FFmpegError as error:
        return [], str(error.strerror)
