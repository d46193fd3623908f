"""Which decoder opens a medium; its library is imported when it is first asked for, and only there."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Literal

from smart_jobs.decode.parts import Parts
from smart_jobs.records import Media, Shown
from smart_jobs.sampling import Sampling

Integrity = Literal["fast", "full"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of a decoder: the asset's URI and medium, what a model sees of it, how closely a video is read.

    `frames`: of a video that comes as pictures (`frame`) the name and size in bytes of each; they lie one behind the
    other.
    """

    uri: str
    media: Media | Shown
    sampling: Sampling | None
    integrity: Integrity = "fast"
    frames: tuple[tuple[str, int], ...] = ()

    def whole(self) -> "Wanted":
        """The same without cutting a video into clips: all of it is one part."""
        if self.sampling is None or self.sampling.video is None:
            return self
        frames = self.sampling.video.model_copy(update={"clip_seconds": None})
        return replace(self, sampling=self.sampling.model_copy(update={"video": frames}))


Opener = Callable[[bytes, Wanted], AbstractContextManager[Parts]]
"""Content of an asset -> its parts while it is open. Raises AssetError where it cannot be opened."""


def opener(media: Media | Shown) -> Opener:
    """The decoder of a medium that is decoded in a process of its own. Raises ImportError where it is not installed."""
    if media == "image":
        from smart_jobs.decode import image

        return lambda data, wanted: image.opened(data, wanted.uri, _visual(wanted))
    if media == "frame":
        from smart_jobs.decode import pictures

        return lambda data, wanted: pictures.opened(data, wanted.frames, _visual(wanted))
    if media == "video":
        from smart_jobs.decode import video

        return lambda data, wanted: video.opened(data, wanted.uri, _visual(wanted), wanted.integrity)
    from smart_jobs.decode import document

    return lambda data, wanted: document.opened(data, wanted.uri, wanted.sampling)


def _visual(wanted: Wanted) -> Sampling:
    if wanted.sampling is None:
        raise ValueError(f"{wanted.uri}: an encoder that reads text alone takes no {wanted.media}")
    return wanted.sampling
