"""Objects in a cloud's store: the one place that knows endpoints, credentials, retries and conditional put.

A URI is `scheme://bucket/key` with the key as it is, nothing in it percent-encoded. Requests that the store answers
with 5xx, or not at all, are tried again with growing, random pauses (object_store's own: 10 times within 3 minutes),
then raise OSError in one line.
"""

import contextlib
import functools
import io
import os
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast
from urllib.parse import quote, urlsplit

import obstore
import obstore.store
from obstore.exceptions import AlreadyExistsError, BaseError
from pyarrow import fs as pafs

from smart_jobs.records import UsageError

S3 = frozenset({"s3", "s3a"})
SCHEMES = S3 | {"gs", "az", "abfs", "abfss"}
BUFFER = 1 << 20


@dataclass(frozen=True, slots=True)
class Info:
    """What a URI names. `stamp` changes with the content: size and mtime of a file, size and etag of an object."""

    kind: Literal["file", "folder", "nothing"]
    size: int = 0
    stamp: str = ""


def serves(uri: str) -> bool:
    """Whether `uri` lies in an object store."""
    scheme, separator, _ = uri.partition("://")
    return bool(separator) and scheme in SCHEMES


def split(uri: str) -> tuple[str, str]:
    """`scheme://bucket` and the key, which is empty for the bucket itself. Raises UsageError for an impossible key."""
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    key = key.rstrip("/")
    if not bucket or any(part in ("", ".", "..") for part in (key.split("/") if key else ())):
        raise UsageError(f"{uri}: expected {scheme}://bucket/key without empty, `.` or `..` parts")
    return f"{scheme}://{bucket}", key


def _environment() -> dict[str, str]:
    """What object_store and deltalake do not both read from the environment by themselves, by object_store's names."""
    found = {}
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if endpoint:
        found["aws_endpoint_url"] = endpoint
    if region:
        found["aws_region"] = region
    return found


def _plain_http(settings: dict[str, str]) -> bool:
    return settings.get("aws_endpoint_url", "").startswith("http://")


def _store(uri: str) -> tuple[Any, str]:
    root, key = split(uri)
    settings = _environment() if urlsplit(root).scheme in S3 else {}
    return _opened(root, tuple(settings.items()), os.environ.get("AWS_PROFILE", "")), key


@functools.lru_cache
def _opened(root: str, settings: tuple[tuple[str, str], ...], profile: str) -> Any:
    """One client a bucket: its connections are used again."""
    options = dict(settings)
    provider = {"credential_provider": _of_profile(profile)} if profile and urlsplit(root).scheme in S3 else {}
    open_store = cast("Any", obstore.store.from_url)  # its overloads go by the scheme
    return open_store(root, config=options or None, client_options={"allow_http": _plain_http(options)}, **provider)


def _of_profile(profile: str) -> Any:
    """AWS's config files, which object_store does not read; deltalake and pyarrow do, by themselves."""
    try:
        from obstore.auth.boto3 import Boto3CredentialProvider  # late: boto3 is there only for this
    except ImportError as error:
        raise UsageError(f"AWS_PROFILE={profile}: profiles are read by boto3; pip install boto3") from error
    return Boto3CredentialProvider()


def delta_options(uri: str) -> dict[str, str]:
    """Storage options of deltalake: the same endpoint and region, and AWS's chain of credentials for any endpoint."""
    if urlsplit(uri).scheme not in S3:
        return {}
    settings = _environment()
    http = {"aws_allow_http": "true"} if _plain_http(settings) else {}
    return {**settings, **http, "AWS_FORCE_CREDENTIAL_LOAD": "true"}


def quoted(uri: str) -> str:
    """`uri` as a URL, which is what deltalake takes."""
    root, key = split(uri)
    return f"{root}/{quote(key)}"


def filesystem(uri: str) -> tuple[pafs.FileSystem, str]:
    """Arrow's own client, which scans of Parquet need: one that calls back into Python aborts processes at their end.

    The path is `bucket/key`.
    """
    root, key = split(uri)
    parts = urlsplit(root)
    path = f"{parts.netloc.partition('@')[0]}/{key}".rstrip("/")
    if parts.scheme in S3:
        return _arrow_s3(tuple(_environment().items())), path
    if parts.scheme == "gs":
        return pafs.GcsFileSystem(), path
    account = parts.hostname.split(".")[0] if "@" in parts.netloc and parts.hostname else None
    return pafs.AzureFileSystem(account or os.environ["AZURE_STORAGE_ACCOUNT_NAME"]), path


@functools.lru_cache
def _arrow_s3(settings: tuple[tuple[str, str], ...]) -> pafs.FileSystem:
    options = dict(settings)
    endpoint = urlsplit(options.get("aws_endpoint_url", "https://"))
    return pafs.S3FileSystem(
        region=options.get("aws_region"),
        scheme=endpoint.scheme,
        endpoint_override=endpoint.netloc or None,
        connect_timeout=5,
        request_timeout=30,
        retry_strategy=pafs.AwsStandardS3RetryStrategy(max_attempts=10),
    )


def pauses() -> list[float]:
    """Seconds between tries of a conditional put, which object_store sends but once: the first may have worked."""
    return [seconds * random.uniform(0.5, 1.5) for seconds in (0.1, 0.3, 1.0, 3.0)]


@contextlib.contextmanager
def _plainly(uri: str) -> Iterator[None]:
    """Errors as one line that names the URI; what is not there is a FileNotFoundError."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{uri}: not there") from error
    except (BaseError, OSError) as error:
        reason = " ".join(str(error).partition("\n\nDebug source")[0].split())
        kind = PermissionError if isinstance(error, PermissionError) else OSError
        raise kind(f"{uri}: {reason[:400]}") from error


def _of(meta: Any) -> Info:
    size = int(meta["size"])
    return Info("file", size, f"{size}:{(meta['e_tag'] or meta['last_modified'].isoformat()).strip(chr(34))}")


def info(uri: str) -> Info:
    """An object, else a folder where keys begin with `uri/`, else nothing."""
    store, key = _store(uri)
    with _plainly(uri):
        if key:
            with contextlib.suppress(FileNotFoundError):
                return _of(obstore.head(store, key))
        first = next(iter(obstore.list(store, key or None)), [])
    return Info("folder" if first else "nothing")


def list_files(uri: str, recursive: bool) -> Iterator[tuple[str, Info]]:
    """Every object below `uri` as (key, info), in no order. Empty ones that only mark a folder are left out."""
    store, key = _store(uri)
    with _plainly(uri):
        for meta in _listed(store, key, recursive):
            if meta["path"] != key and (meta["size"] or _is_there(store, meta["path"])):
                yield meta["path"], _of(meta)


def _listed(store: Any, key: str, recursive: bool) -> Iterator[Any]:
    if not recursive:
        yield from obstore.list_with_delimiter(store, key or None)["objects"]
        return
    for chunk in obstore.list(store, key or None):
        yield from chunk


def _is_there(store: Any, key: str) -> bool:
    """object_store lists `a/`, a marker that consoles make for folders, as `a`, of which no object may be there."""
    with contextlib.suppress(FileNotFoundError):
        obstore.head(store, key)
        return True
    return False


def folders(uri: str) -> list[str]:
    """The names of the folders directly in `uri`."""
    store, key = _store(uri)
    with _plainly(uri):
        prefixes = obstore.list_with_delimiter(store, key or None)["common_prefixes"]
    return [prefix.rstrip("/").rpartition("/")[2] for prefix in prefixes]


def read_bytes(uri: str) -> bytes:
    """The whole object, from one request."""
    store, key = _store(uri)
    with _plainly(uri):
        return obstore.get(store, key).bytes().to_bytes()


def read_ranges(uri: str, starts: Sequence[int], ends: Sequence[int]) -> list[bytes]:
    """The bytes of each range, ranges that lie close together in one request, requests at the same time."""
    store, key = _store(uri)
    with _plainly(uri):
        return [part.to_bytes() for part in obstore.get_ranges(store, key, starts=starts, ends=ends)]


def write_bytes(uri: str, data: bytes) -> None:
    """Put the object: all of it, or none."""
    store, key = _store(uri)
    with _plainly(uri):
        obstore.put(store, key, data)


def create_bytes(uri: str, data: bytes) -> bool:
    """Put the object unless it is there; whether this call has put it.

    False too where this call put it and the store's answer was lost: read it back where that matters.
    """
    store, key = _store(uri)
    left = pauses()
    while True:
        try:
            with _plainly(uri), contextlib.suppress(AlreadyExistsError):
                obstore.put(store, key, data, mode="create", use_multipart=False)
                return True
            return False
        except OSError:
            if not left:
                raise
            time.sleep(left.pop(0))


def delete(uri: str) -> None:
    """Remove the object; one that is gone already is no error."""
    store, key = _store(uri)
    with _plainly(uri), contextlib.suppress(FileNotFoundError):
        obstore.delete(store, key)


def open_input(uri: str) -> io.BufferedReader:
    """The object as a file that can be read from anywhere, a MiB at a time."""
    return io.BufferedReader(_Reader(uri), BUFFER)


class _Reader(io.RawIOBase):
    """Range reads of one object."""

    def __init__(self, uri: str) -> None:
        """Raises FileNotFoundError where it is not there."""
        self._uri, self._at = uri, 0
        self._store, self._key = _store(uri)
        with _plainly(uri):
            self._size = int(obstore.head(self._store, self._key)["size"])

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        length = max(0, min(len(view), self._size - self._at))
        if length:
            with _plainly(self._uri):
                view[:length] = memoryview(obstore.get_range(self._store, self._key, start=self._at, length=length))
            self._at += length
        return length
