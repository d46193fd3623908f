"""Small pictures of what a benchmark's items show, for its report."""

import io
import itertools
from collections.abc import Sequence

import numpy as np
from PIL import Image

from smart_jobs.decode import reading
from smart_jobs.decode.opening import Wanted
from smart_jobs.decode.parts import Part
from smart_jobs.decode.sandbox import Sandbox
from smart_jobs.keys import Decode
from smart_jobs.records import AssetError, Attached, Media
from smart_jobs.sampling import Frames, Resize, Sampling

PIXELS = 160 * 160
SMALL = Sampling(
    image=(Resize(factor=1, max_pixels=PIXELS),),
    video=Frames(fps=1.0, min_frames=1, max_frames=1, multiple=1, factor=1, max_pixels=PIXELS),
)


class Thumbnails:
    """Makes them in one decoder that can be killed."""

    def __init__(self, decode: Decode) -> None:
        """Nothing is started yet."""
        self._sandbox = Sandbox(decode)

    def of(self, files: Sequence[Attached]) -> bytes | None:
        """A JPEG of the first image, of the middle frame, or of a frame of a video; None where there is none to see."""
        chosen = _chosen(files)
        if chosen is None:
            return None
        media: Media = "video" if chosen.media == "video" else "image"
        try:
            content = reading.content(chosen.uri, chosen.stamp)
            parts = self._sandbox.parts(content, Wanted(chosen.uri, media, SMALL))
            shown = [visual for part in itertools.islice(parts, 1) if isinstance(part, Part) for visual in part.visuals]
        except AssetError:  # the item is among the failures, with its reason
            return None
        return _jpeg(shown[0].pixels[0]) if shown else None


def _chosen(files: Sequence[Attached]) -> Attached | None:
    """What stands for all: of the leading frames the middle one, else the first file."""
    frames = list(itertools.takewhile(lambda file: file.media == "frame", files))
    return frames[len(frames) // 2] if frames else next(iter(files), None)


def _jpeg(pixels: np.ndarray) -> bytes:
    """(h, w, 3) uint8 as a file."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=80)
    return out.getvalue()
