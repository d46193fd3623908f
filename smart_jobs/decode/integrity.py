"""Whether all of a video can be decoded."""

import itertools

from smart_jobs.decode.stream import decode, opened, packets
from smart_jobs.decode.timeline import Timeline


def corrupt(data: bytes, timeline: Timeline) -> list[float]:
    """The times, ascending, at which a frame is corrupt or missing, found by decoding all of it once more.

    The decoder stops at the first error in a frame instead of hiding it. Raises as `opened` does.
    """
    found: set[float] = set()
    missing = set() if timeline.counted else set(timeline.names)
    with opened(data) as (container, stream):
        stream.codec_context.options = {"err_detect": "explode"}
        for _, packet in itertools.chain(packets(container, stream), [(-1, None)]):
            frames, error = decode(stream, packet)
            if error and packet is not None:
                found.add(timeline.seconds(packet.pts))
            found.update(timeline.seconds(frame.pts) for frame in frames if frame.is_corrupt)
            missing.difference_update(frame.pts for frame in frames if frame.pts is not None)
    return sorted(found | {timeline.seconds(pts) for pts in missing})
