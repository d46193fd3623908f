"""Videos: the frames of each clip, chosen by their times, at the size at which a model sees them."""

import contextlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from PIL import Image

from smart_jobs.decode.frames import Decoding
from smart_jobs.decode.image import fitted
from smart_jobs.decode.integrity import corrupt
from smart_jobs.decode.parts import Part, Parts
from smart_jobs.decode.stream import STEP
from smart_jobs.decode.timeline import Timeline, decoded, read
from smart_jobs.records import AssetError, Visual
from smart_jobs.sampling import Frames, Sampling, clips, frame_count, frame_size, frame_times

if TYPE_CHECKING:
    from smart_jobs.decode.jumping import Jumping

_REFORMATTER = VideoReformatter()
_TURNS = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}


@contextlib.contextmanager
def opened(
    data: bytes,
    uri: str,  # noqa: ARG001 (as every decoder)
    sampling: Sampling,
    integrity: Literal["fast", "full"],
) -> Iterator[Parts]:
    """The clips of a video while it is open. Parts are quickest in their order: the file is then read once.

    Wanted times are spread evenly from a clip's start to its last frame; each takes the frame that is on the screen
    then, and no frame is taken twice but for a last one that fills up `multiple`. Times count from the first frame that
    is shown. Frames are upright.

    Raises `empty_file`, `unsupported` (no video stream, or the model takes no video), `damaged` (no known container),
    `empty` (no frame) and `too_large`. A part is its `damaged` error where one of its frames, or the end of the file,
    is missing or could not be decoded; with integrity `full`, where anything in the clip could not be: all of the file
    is decoded for that. MemoryError where there is no more memory.
    """
    if not data:
        raise AssetError("empty_file", "the file has no bytes", STEP)
    if sampling.video is None:
        raise AssetError("unsupported", "this model takes no video", STEP)
    timeline = read(data)
    bad = corrupt(data, timeline) if integrity == "full" else []
    spans = clips(timeline.duration, sampling.video)
    video = _Video(data, sampling, sampling.video, spans, bad, timeline)
    try:
        yield Parts(len(spans), video.part)
    finally:
        video.close()


@dataclass(slots=True)
class _Video:
    """An open video. `run` decodes the frames of the part `following` and of those behind it; `held` came out last."""

    data: bytes
    sampling: Sampling
    policy: Frames
    clips: list[tuple[float, float]]
    bad: list[float]
    timeline: Timeline
    following: int = -1
    decoding: Decoding | None = None
    run: Generator[tuple[int, VideoFrame]] | None = None
    held: tuple[int, VideoFrame] | None = None
    jumping: "Jumping | None" = None

    def part(self, index: int) -> Part | AssetError:
        """See `opened`."""
        start, end = self.clips[index]
        try:
            self._check(index)
            return Part(visuals=self._visuals(index), start=start, end=end)
        except AssetError as error:
            return error

    def close(self) -> None:
        """Give back what the decoder holds."""
        if self.run is not None:
            self.run.close()
        self.run = self.decoding = self.held = None

    def _check(self, index: int) -> None:
        """Raise `damaged` for what is known to be bad before a frame of the part is decoded."""
        start, end = self.clips[index]
        for since, until in self.timeline.gaps:
            if since < end and until > start:
                raise _damaged(f"from {since:.2f} s to {until:.2f} s it is missing or cannot be decoded")
        bad = [time for time in self.bad if start <= time and (time < end or index == len(self.clips) - 1)]
        if bad:
            raise _damaged(f"{len(bad)} of its frames cannot be decoded whole, the first at {bad[0]:.2f} s")

    def _visuals(self, index: int) -> tuple[Visual, ...]:
        wanted = self._wanted(index)
        multiple = 1 if self.policy.as_images else self.policy.multiple
        filled = [*wanted, *wanted[-1:] * (-len(wanted) % multiple)]
        taken = self._by_decord(wanted, len(filled))
        if not taken:
            taken = {at: self._fitted(_upright(frame), len(filled)) for at, frame in self._frames(index, wanted)}
        if self.decoding is not None and self._unreliable(wanted, taken):
            self.close()
            self.timeline = decoded(self.data)
            self._check(index)
            return self._visuals(index)
        if self.policy.as_images:
            return tuple(Visual("image", taken[at][np.newaxis]) for at in filled)
        times = tuple(self.timeline.times[at] for at in filled)
        return (Visual("video", np.stack([taken[at] for at in filled]), times),)

    def _by_decord(self, wanted: list[int], count: int) -> dict[int, np.ndarray]:
        """The wanted frames by decord; none where it is not asked for or cannot."""
        if self.policy.decoder != "decord" or self.decoding is not None:
            return {}
        if self.jumping is None:
            from smart_jobs.decode.jumping import Jumping  # late: it brings a second FFmpeg along

            self.jumping = Jumping(self.data, self.timeline)
        found = self.jumping.frames(wanted) if self.jumping.readable else None
        if found is None:
            return {}
        return {at: self._fitted(Image.fromarray(rows), count) for at, rows in zip(wanted, found, strict=True)}

    def _wanted(self, index: int) -> list[int]:
        """The frames of a part, by their indices in the timeline."""
        start, end = self.clips[index]
        last = max(start, self.timeline.times[self.timeline.before(end)])
        times = frame_times(start, last, frame_count(end - start, self.policy))
        return sorted({self.timeline.at(time) for time in times})

    def _frames(self, index: int, wanted: list[int]) -> Iterator[tuple[int, VideoFrame]]:
        if self.run is None or self.following != index:
            self.close()
            rest = {at for later in range(index, len(self.clips)) for at in self._wanted(later)}
            self.decoding = Decoding(self.data, self.timeline, sorted(rest))
            self.run = self.decoding.frames()
        self.following = index + 1
        if self.held is not None and self.held[0] in wanted:
            yield self.held
            if self.held[0] == wanted[-1]:
                return
        if self.held is None or self.held[0] < wanted[-1]:
            yield from self._pulled(self.run, wanted)

    def _pulled(self, run: Iterator[tuple[int, VideoFrame]], wanted: list[int]) -> Iterator[tuple[int, VideoFrame]]:
        for self.held in run:
            if self.held[0] in wanted:
                yield self.held
            if self.held[0] >= wanted[-1]:
                break

    def _unreliable(self, wanted: list[int], taken: dict[int, np.ndarray]) -> bool:
        """Whether the packets' times do not tell the frames. Raises `damaged` where the decoder failed."""
        assert self.decoding is not None
        for at in wanted:
            first, last = self.timeline.spans[at]
            why = next((why for number, why in self.decoding.faults if first <= number <= last), None)
            if why is not None and not self.timeline.counted:
                raise _damaged(f"the frame at {self.timeline.times[at]:.2f} s cannot be decoded: {why}")
        missing = next((at for at in wanted if at not in taken), None)
        if missing is not None and self.timeline.counted:
            raise _damaged(f"the frame at {self.timeline.times[missing]:.2f} s does not come out of the decoder")
        return missing is not None or (self.decoding.disordered and not self.timeline.counted)

    def _fitted(self, image: Image.Image, count: int) -> np.ndarray:
        """(h, w, 3) uint8: one of `count` frames as the model sees it."""
        if self.policy.as_images:
            return np.array(fitted(image, self.sampling.image))
        height, width = frame_size(image.height, image.width, count, self.policy)
        return np.array(image.resize((width, height), Image.Resampling.BICUBIC))


def _upright(frame: VideoFrame) -> Image.Image:
    image = Image.fromarray(_rgb(frame))
    turn = _TURNS.get(round(frame.rotation / 90) % 4 * 90)
    return image if turn is None else image.transpose(turn)


def _rgb(frame: VideoFrame) -> np.ndarray:
    try:
        return _REFORMATTER.reformat(frame, format="rgb24").to_ndarray()
    except MemoryError:
        raise
    except av.FFmpegError as error:
        raise _damaged(f"its pixels are {frame.format.name}, which cannot be made RGB: {error.strerror}") from error


def _damaged(detail: str) -> AssetError:
    return AssetError("damaged", detail, STEP)
