"""An asset as it is read: its bytes, their version, and what they are where its name does not say."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from smart_jobs import cells, sources, storage
from smart_jobs.cells import Cell
from smart_jobs.media import media_inside
from smart_jobs.objects import Info
from smart_jobs.records import Asset, AssetError, Attached, UsageError, content_version, text_digest

AT_ONCE = 16
"""Files of one row that are read at the same time."""


@dataclass(frozen=True, slots=True)
class Read:
    """An asset whose medium is certain, and the `version` of what was read of it.

    `contents` are the bytes of its file, or of each of a row's `files`; none where these were not to be read.
    """

    asset: Asset
    version: str
    contents: tuple[bytes, ...]


def read(asset: Asset, *, files: bool) -> Read:
    """Read a file whole, of a row its files if `files`; without them its version is what it says itself.

    Raises AssetError `read_error` where something is not there or cannot be read, and `changed` where it is not what
    was listed.
    """
    if asset.media != "row":
        found = content(asset.uri, asset.stamp)
        return Read(replace(asset, media=media_inside(asset.uri, found)), content_version(found), (found,))
    said = sources.said_by(asset)
    if not (files and asset.files):
        return Read(asset, said, ())
    contents = _contents(asset.files)
    seen = [
        part for file, data in zip(asset.files, contents, strict=True) for part in (file.media, content_version(data))
    ]
    return Read(asset, text_digest(said, *seen), contents)


def _contents(files: tuple[Attached, ...]) -> tuple[bytes, ...]:
    if len(files) == 1:
        return (content(files[0].uri, files[0].stamp),)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return tuple(pool.map(lambda file: content(file.uri, file.stamp), files))


def content(uri: str, stamp: str) -> bytes:
    """All bytes from one handle; raises AssetError `changed` where the file is not the one that was listed."""
    try:
        if (cell := cells.named(uri)) is not None:
            return _of_cell(cell, stamp)
        found = storage.read_bytes(uri)
        info = storage.info(uri)
    except (OSError, UsageError) as error:  # a row may name a store that nothing here serves
        raise AssetError("read_error", " ".join(str(error).split())[:500], "read") from error
    if info.stamp != stamp or len(found) != info.size:
        raise _changed(uri, stamp, info)
    return found


def _of_cell(cell: Cell, stamp: str) -> bytes:
    """What lies in a column of a Parquet file is as old as the file, which is looked at before it is read."""
    info = storage.info(cell.file)
    if info.kind != "file":
        raise FileNotFoundError(f"{cell.uri}: there is no such file")
    if info.stamp != stamp:
        raise _changed(cell.uri, stamp, info)
    return cells.read(cell, stamp)


def _changed(uri: str, stamp: str, info: Info) -> AssetError:
    return AssetError("changed", f"{uri} was listed as {stamp or 'missing'}, read as {info.stamp}", "read")
