"""A task's images and frames as a listing shows them: nothing is opened, no file is asked for by itself."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from smart_jobs import storage
from smart_jobs.evaluate import tables
from smart_jobs.objects import Info
from smart_jobs.records import Attached

FRAMES = (".jpg", ".jpeg", ".png")
DIGITS = re.compile(r"(\d+)")

Files = tuple[tuple[Attached, ...], int]
"""Files in the order in which a model gets them, and their bytes."""


class Media:
    """What lies in the first of several folders that is there; else in the first, where nothing does."""

    def __init__(self, root: str, places: Sequence[str], *, apart: bool) -> None:
        """`apart`: each folder directly in it is listed when something in it is asked for, not all at once."""
        self.place = next((place for place in places if storage.is_folder(storage.join(root, place))), places[0])
        self.uri = storage.join(root, self.place)
        self._apart = apart
        self._listed: dict[str, dict[str, dict[str, Info]]] = {}
        self._parquet: dict[str, Info] = {}
        """Of Parquet files, each with the size of a row."""

    def image(self, path: str, kept: tuple[str, str, int] | None = None) -> Files:
        """An image by its path, or the one that a Parquet file keeps; without a stamp where there is neither.

        The bytes of a kept one are its share of the Parquet file: nothing says them without reading it.
        """
        folder, _, name = path.rpartition("/")
        info = self._folder(folder).get(name)
        if info is None and kept is not None:
            return self._kept(*kept)
        info = info or Info("nothing")
        return (Attached(storage.join(self.uri, path), "image", info.stamp),), info.size

    def frames(self, path: str, count: int | None) -> Files:
        """The frames of a folder in natural order: all, or `count` of them, spread evenly, where it has more.

        Where it has none, or is not there, one frame without a stamp that is the folder: it cannot be read, so it
        becomes a failure and never a query without its video.
        """
        found = self._folder(path)
        names = sorted((name for name in found if name.lower().endswith(FRAMES)), key=natural)
        if not names:
            return (Attached(storage.join(self.uri, path), "frame", ""),), 0
        if count is not None and count <= len(names):
            names = [names[i] for i in np.linspace(0, len(names) - 1, count, dtype=int)]
        uris = [storage.join(self.uri, path, name) for name in names]
        files = tuple(Attached(uri, "frame", found[name].stamp) for uri, name in zip(uris, names, strict=True))
        return files, sum(found[name].size for name in names)

    def folders(self, path: str) -> list[str]:
        """The names of the folders in a folder, in natural order; one without files is among them on a disk."""
        return sorted(storage.folders(storage.join(self.uri, path)), key=natural)

    def _kept(self, file: str, column: str, row: int) -> Files:
        if file not in self._parquet:
            info = storage.info(file)
            self._parquet[file] = replace(info, size=info.size // max(1, tables.length(file)))
        info = self._parquet[file]
        return (Attached(f"{file}#{column}/{row}", "image", info.stamp),), info.size

    def _folder(self, folder: str) -> dict[str, Info]:
        """What is directly in a folder, by name."""
        top = folder.partition("/")[0] if self._apart else ""
        if top not in self._listed:
            self._listed[top] = self._list(top)
        return self._listed[top].get(folder, {})

    def _list(self, top: str) -> dict[str, dict[str, Info]]:
        below = storage.join(self.uri, top) if top else self.uri
        folders: dict[str, dict[str, Info]] = defaultdict(dict)
        for uri, info in storage.list_files(below, recursive=bool(top) or not self._apart):
            folder, _, name = uri.removeprefix(self.uri).lstrip("/").rpartition("/")
            folders[folder][name] = info
        return dict(folders)


def natural(name: str) -> list[int | str]:
    """A key that sorts digits as numbers and the rest without regard to case."""
    return [int(part) if i % 2 else part.lower() for i, part in enumerate(DIGITS.split(name))]
