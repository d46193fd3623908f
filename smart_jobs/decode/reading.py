"""An asset as it is read: its bytes, their version, and what they are where its name does not say."""

from dataclasses import dataclass, replace

from smart_jobs import sources, storage
from smart_jobs.media import media_inside
from smart_jobs.records import Asset, AssetError, UsageError, content_version, text_digest


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
        content = _bytes(asset.uri, asset.stamp)
        return Read(replace(asset, media=media_inside(asset.uri, content)), content_version(content), (content,))
    said = sources.said_by(asset)
    if not (files and asset.files):
        return Read(asset, said, ())
    contents = tuple(_bytes(file.uri, file.stamp) for file in asset.files)
    seen = [
        part for file, data in zip(asset.files, contents, strict=True) for part in (file.media, content_version(data))
    ]
    return Read(asset, text_digest(said, *seen), contents)


def _bytes(uri: str, stamp: str) -> bytes:
    """All bytes from one handle; raises AssetError `changed` where the file is not the one that was listed."""
    try:
        content = storage.read_bytes(uri)
        info = storage.info(uri)
    except (OSError, UsageError) as error:  # a row may name a store that nothing here serves
        raise AssetError("read_error", " ".join(str(error).split())[:500], "read") from error
    if info.stamp != stamp or len(content) != info.size:
        raise AssetError("changed", f"{uri} was listed as {stamp or 'missing'}, read as {info.stamp}", "read")
    return content
