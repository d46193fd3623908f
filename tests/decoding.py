"""Decoding in this process: what a sandbox must give as well."""

import numpy as np

from smart_jobs.decode import opening
from smart_jobs.decode.opening import Wanted
from smart_jobs.sampling import Frames, Resize, Sampling

BUDGET = Resize(factor=32, min_pixels=4096, max_pixels=1_843_200)
SMALL = Resize(factor=32, min_pixels=1024, max_pixels=64 * 1024)


def seen(page_as="image", resize=SMALL, video=True, **more):
    """The sampling of an encoder that takes images and, unless told otherwise, videos."""
    frames = Frames(factor=32, max_frames=4, min_pixels=1024, max_pixels=64 * 1024) if video else None
    return Sampling(page_as=page_as, image=(resize,), video=frames, **more)


def parts(data, wanted):
    """Each part of an asset, as `Sandbox.parts` gives them."""
    with opening.opener(wanted.media)(data, wanted) as opened:
        for index in range(opened.count):
            yield opened.part(index)


def page_texts(data, uri):
    """The text of each page of a document, or its error."""
    return [getattr(part, "text", part) for part in parts(data, Wanted(uri, "document", None))]


def plain(part):
    """A part or an error as a value that compares."""
    if hasattr(part, "reason"):
        return (part.reason, part.detail, part.step)
    visuals = [(item.kind, item.pixels.shape, item.pixels.tobytes(), item.times) for item in part.visuals]
    assert all(item.pixels.dtype == np.uint8 and item.pixels.flags.c_contiguous for item in part.visuals)
    return (part.text, part.page, part.start, part.end, visuals)
