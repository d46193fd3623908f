"""The clients of object stores: the one place that knows endpoints, regions, credentials and retries.

A URI is `scheme://bucket/key` with the key as it is, nothing in it percent-encoded. Credentials come from the cloud's
own chain. Requests that the store answers with 5xx, or not at all, are tried again with growing, random pauses
(object_store's own: ten times within three minutes).
"""

import functools
import os
from typing import Any, cast
from urllib.parse import quote, urlsplit

import obstore.store
from pyarrow import fs as pafs

from smart_jobs.records import UsageError

S3 = frozenset({"s3", "s3a"})
SCHEMES = S3 | {"gs", "az", "abfs", "abfss"}
RETRIES = 10


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
    found: dict[str, str] = {}
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if endpoint:
        found["aws_endpoint_url"] = endpoint
    if region:
        found["aws_region"] = region
    return found


def _plain_http(settings: dict[str, str]) -> bool:
    return settings.get("aws_endpoint_url", "").startswith("http://")


def client(uri: str) -> tuple[Any, str]:
    """The client of the store that `uri` lies in, and the key there."""
    root, key = split(uri)
    settings = _environment() if urlsplit(root).scheme in S3 else {}
    return _opened(root, tuple(settings.items()), os.environ.get("AWS_PROFILE", "")), key


@functools.lru_cache
def _opened(root: str, settings: tuple[tuple[str, str], ...], profile: str) -> Any:
    """One client a bucket: its connections are used again."""
    options = dict(settings)
    provider = {"credential_provider": _of_profile(profile)} if profile and urlsplit(root).scheme in S3 else {}
    open_store = cast("Any", obstore.store.from_url)  # its overloads go by the scheme
    if urlsplit(root).scheme in S3:
        options["aws_disable_bulk_delete"] = "true"  # one request each, tried again like all idempotent ones
    return open_store(
        root,
        config=options or None,
        client_options={"allow_http": _plain_http(options)},
        retry_config={"max_retries": RETRIES},
        **provider,
    )


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
        retry_strategy=pafs.AwsStandardS3RetryStrategy(max_attempts=RETRIES),
    )
