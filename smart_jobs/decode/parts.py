"""What a decoder gives for an open asset."""

from collections.abc import Callable
from dataclasses import dataclass

from smart_jobs.records import AssetError, Visual


@dataclass(frozen=True, slots=True)
class Part:
    """A page, an image or a clip. `page` counts from 1; `start` and `end` are seconds of a video."""

    text: str = ""
    visuals: tuple[Visual, ...] = ()
    page: int | None = None
    start: float | None = None
    end: float | None = None


@dataclass(frozen=True, slots=True)
class Parts:
    """An open asset: how many parts it has, and the part at an index from 0, or why there is none."""

    count: int
    part: Callable[[int], Part | AssetError]
