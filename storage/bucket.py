"""A prefix of a bucket, in S3 or another store that speaks as it does, such as MinIO."""

from __future__ import annotations

import contextlib
import io
import os
import time
from collections.abc import Callable, Iterator
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit
from xml.etree.ElementTree import ParseError

import certifi
import urllib3
from minio import Minio
from minio.credentials.providers import (
    AWSConfigProvider,
    ChainedProvider,
    EnvAWSProvider,
    IamAwsProvider,
    Provider,
)
from minio.error import MinioException, S3Error

from storage.places import Entry, ObjectGone, PlaceError

_AWS = "https://s3.amazonaws.com"
_TIMEOUT = urllib3.Timeout(connect=5, read=30)
# What passes, and how often to ask again: 7 s with the pauses between.
_PASSING = urllib3.Retry(total=4, backoff_factor=0.5, status_forcelist=(500, 502, 503, 504))
_PAUSES_S = (0.5, 2.0)
_CONNECTIONS = 32
_ROLES = ("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
          "AWS_CONTAINER_CREDENTIALS_FULL_URI")  # fmt: skip
_GONE = ("NoSuchKey", "NoSuchVersion")

T = TypeVar("T")


class Bucket:
    """Objects of a bucket whose keys begin with a prefix."""

    def __init__(self, bucket: str, prefix: str, client: Minio | None = None) -> None:
        """Set up a client; nothing is sent yet.

        Args:
            bucket: Its name.
            prefix: Without a slash at either end; empty for the whole bucket.
            client: One that is there already.

        Raises:
            PlaceError: The variables name no endpoint.
        """
        self.address = f"s3://{bucket}/{prefix}/" if prefix else f"s3://{bucket}/"
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._client = client or _client()

    def below(self, folder: str) -> Bucket:
        """The prefix of that name below this one."""
        return Bucket(self._bucket, f"{self._prefix}{folder}", self._client)

    def entries(self) -> Iterator[Entry]:
        """All objects in the order of their keys, a page of a thousand at a time.

        Raises:
            PlaceError: They can't be listed.
        """
        with self._refusals(self.address):
            for each in self._client.list_objects(self._bucket, self._prefix, recursive=True):
                name = str(each.object_name)[len(self._prefix) :]
                # What ends so is how some tools keep an empty folder.
                if name and not name.endswith("/"):
                    yield Entry(name, each.size or 0)

    def read(self, name: str) -> bytes:
        """An object's content.

        Raises:
            ObjectGone: There is none of this name.
            PlaceError: It can't be had.
        """
        with self._refusals(f"{self.address}{name}"):
            return _persistently(lambda: self._whole(name))

    def _whole(self, name: str) -> bytes:
        with contextlib.closing(
            self._client.get_object(self._bucket, f"{self._prefix}{name}")
        ) as response:
            content: bytes = response.read()
            # This version of the library does not look.
            if len(content) < int(response.headers.get("content-length", 0)):
                raise urllib3.exceptions.ProtocolError("the connection broke off")
            response.release_conn()
            return content

    def write(self, name: str, content: bytes) -> None:
        """Put an object there; S3 shows it whole or not at all.

        Raises:
            PlaceError: It can't be written.
        """
        with self._refusals(f"{self.address}{name}"):
            self._client.put_object(
                self._bucket, f"{self._prefix}{name}", io.BytesIO(content), len(content)
            )

    @contextlib.contextmanager
    def _refusals(self, where: str) -> Iterator[None]:
        """What the library raises, in words that say what to do."""
        try:
            yield
        # What was asked may have a token in it, and the libraries' errors show it.
        except S3Error as error:
            raise self._refusal(error, where) from None
        except (MinioException, urllib3.exceptions.HTTPError, OSError, ParseError) as error:
            raise PlaceError(
                f"{where}: no answer from {self._host} ({type(error).__name__}): is the endpoint "
                "right (AWS_ENDPOINT_URL), and can it be reached from here?"
            ) from None
        except ValueError:
            raise PlaceError(
                f"{where}: no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            ) from None

    @property
    def _host(self) -> str:
        return _endpoint().netloc

    def _refusal(self, error: S3Error, where: str) -> PlaceError:
        if error.code in _GONE:
            return ObjectGone(f"{where} is not there any more")
        if error.code == "NoSuchBucket":
            return PlaceError(
                f"there is no bucket {self._bucket} at {self._host}: check its name and the "
                "endpoint (AWS_ENDPOINT_URL)"
            )
        if error.response.status in (401, 403):
            return PlaceError(
                f"{self._host} denies access to {where} ({error.code}): check AWS_ACCESS_KEY_ID, "
                "its secret, and what it may do"
            )
        return PlaceError(f"{self._host} refuses {where} ({error.code}): {error.message}")


def _persistently(attempt: Callable[[], T]) -> T:
    """Again after a connection that broke off half-way, which the client does not try itself."""
    for pause_s in _PAUSES_S:
        try:
            return attempt()
        except (urllib3.exceptions.ProtocolError, urllib3.exceptions.ReadTimeoutError):
            time.sleep(pause_s)
    return attempt()


def _client() -> Minio:
    endpoint = _endpoint()
    pool = urllib3.PoolManager(
        timeout=_TIMEOUT,
        retries=_PASSING,
        maxsize=_CONNECTIONS,
        ca_certs=os.environ.get("SSL_CERT_FILE") or certifi.where(),
    )
    providers: list[Provider] = [EnvAWSProvider(), AWSConfigProvider()]
    # Without one of them it would ask an address that answers in Amazon's network only.
    if any(map(os.environ.get, _ROLES)):
        providers.append(IamAwsProvider(http_client=pool))
    try:
        return Minio(
            endpoint.netloc,
            secure=endpoint.scheme == "https",
            credentials=ChainedProvider(providers),
            # Named, so that the client does not ask where the bucket is, which takes a right more.
            region=os.environ.get("AWS_REGION") or "us-east-1",
            http_client=pool,
        )
    except ValueError as error:
        raise PlaceError(f"AWS_ENDPOINT_URL can't be a store's endpoint: {error}") from error


def _endpoint() -> SplitResult:
    text = os.environ.get("AWS_ENDPOINT_URL") or os.environ.get("S3_ENDPOINT") or _AWS
    # As rclone has it: without a scheme it is https.
    endpoint = urlsplit(text if "://" in text else f"https://{text}")
    if endpoint.scheme not in ("http", "https") or endpoint.path.strip("/") or "@" in text:
        raise PlaceError("AWS_ENDPOINT_URL (or S3_ENDPOINT) must be like https://host:port")
    return endpoint
