"""Reads objects of S3 and of compatible stores. Python 3.8 to 3.12."""

import contextlib
import os
import re
from typing import Generator, Optional, Tuple
from xml.etree.ElementTree import ParseError

import certifi
import urllib3
from minio import Minio
from minio.credentials.providers import IamAwsProvider, Provider, StaticProvider
from minio.error import MinioException, S3Error

from model.artefacts import ArtefactError, StoreUnavailable
from model.credentials import Credentials

_AWS = "https://s3.amazonaws.com"
_ENDPOINTS = ("RCLONE_CONFIG_S3_ENDPOINT", "AWS_ENDPOINT_URL", "S3_ENDPOINT")
_ROLES = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
_TEMPORARY_CODES = ("SlowDown", "RequestTimeout", "InternalError", "ServiceUnavailable")
_ANONYMOUS = "no credentials are set: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"


class S3Store:
    """A client of an S3 store; it connects with the first request.

    Args:
        credentials: the usual AWS variables, or those of an rclone secret.
        timeout_s: time limits of a connect and of a read, in seconds.

    Raises:
        ArtefactError: the variables are invalid or contradict each other.
    """

    def __init__(self, credentials: Credentials, timeout_s: Tuple[float, float]) -> None:
        credentials.check_type("RCLONE_CONFIG_S3_TYPE", "s3")
        connect_s, read_s = timeout_s
        pool = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=connect_s, read=read_s),
            retries=False,
            ca_certs=os.environ.get("SSL_CERT_FILE") or certifi.where(),
        )
        self._host, is_secure = _endpoint(credentials)
        provider, self._advice = _provider(credentials, pool)
        # Without a region the client would ask for the bucket's region, which needs another right.
        region = credentials.get("RCLONE_CONFIG_S3_REGION", "AWS_REGION") or "us-east-1"
        try:
            self._client = Minio(
                self._host,
                secure=is_secure,
                credentials=provider,
                region=region,
                http_client=pool,
            )
        except ValueError as error:
            raise ArtefactError(f"{self._host} is not a valid endpoint: {error}") from error

    def chunks(self, bucket: str, key: str, size: int) -> Generator[bytes, None, None]:
        """Reads an object in chunks.

        Args:
            bucket: the bucket's name.
            key: the object's name.
            size: size of a chunk in bytes.

        Raises:
            StoreUnavailable: the store cannot be reached, reports a temporary error, or ends
                the object early.
            ArtefactError: the object does not exist, or access is denied.
        """
        where = f"s3://{bucket}/{key}"
        try:
            with contextlib.closing(self._client.get_object(bucket, key)) as response:
                declared = int(response.headers.get("content-length", 0))
                seen = 0
                for chunk in response.stream(size):
                    seen += len(chunk)
                    yield chunk
        # The libraries' errors show requests, which may contain a token. So the new errors do not
        # show their causes.
        except S3Error as error:
            raise self._refusal(error, bucket, where) from None
        except (MinioException, urllib3.exceptions.HTTPError, OSError, ParseError) as error:
            raise StoreUnavailable(
                f"{where} cannot be read from {self._host} ({type(error).__name__}): is the "
                f"endpoint right (AWS_ENDPOINT_URL), and can it be reached from here?"
            ) from None
        except ValueError:
            raise ArtefactError(
                f"{where} cannot be requested: check the bucket's name in MODEL_URI, and the "
                "role that provides the credentials, if there is one"
            ) from None
        if seen < declared:
            raise StoreUnavailable(f"{where} ended after {seen:,} of {declared:,} bytes")

    def _refusal(self, error: S3Error, bucket: str, where: str) -> ArtefactError:
        status, code = error.response.status, error.code
        if status >= 500 or code in _TEMPORARY_CODES:
            return StoreUnavailable(
                f"{self._host} reports an error (status {status}): try again later"
            )
        if code == "NoSuchBucket":
            return ArtefactError(
                f"there is no bucket {bucket!r} at {self._host}: "
                "check MODEL_URI and the endpoint (AWS_ENDPOINT_URL)"
            )
        if status == 404:
            return ArtefactError(f"{where} does not exist: check the prefix in MODEL_URI")
        if status in (401, 403):
            return ArtefactError(f"{self._host} denies access to {where} ({code}): {self._advice}")
        return ArtefactError(
            f"{self._host} refuses {where} ({code}): check the endpoint and AWS_REGION"
        )


def _endpoint(credentials: Credentials) -> Tuple[str, bool]:
    """Returns the host with its port, and whether to use TLS."""
    endpoint = credentials.get(*_ENDPOINTS) or _AWS
    # The default scheme is https, as in rclone.
    found = re.fullmatch(r"(?:(https?)://)?([\w.-]+|\[[0-9a-fA-F:]+\])(:\d+)?/?", endpoint)
    if found is None:
        raise ArtefactError(f"{' or '.join(_ENDPOINTS)} must be like https://host:port")
    return found[2] + (found[3] or ""), found[1] != "http"


def _provider(
    credentials: Credentials, pool: urllib3.PoolManager
) -> Tuple[Optional[Provider], str]:
    """Returns a provider of credentials, and advice for messages about denied access.

    The provider is None if no credentials are set, as for public buckets.

    Raises:
        ArtefactError: a key is set without its secret, or a secret without its key.
    """
    for family in ("RCLONE_CONFIG_S3", "AWS"):
        key = credentials.get(f"{family}_ACCESS_KEY_ID")
        secret = credentials.get(f"{family}_SECRET_ACCESS_KEY")
        if bool(key) != bool(secret):
            raise ArtefactError(
                f"{family}_ACCESS_KEY_ID and {family}_SECRET_ACCESS_KEY go together: "
                "one of them is not set"
            )
        if key:
            token = credentials.get(f"{family}_SESSION_TOKEN")
            advice = f"check {family}_ACCESS_KEY_ID, its secret, and that it may read the bucket"
            return StaticProvider(key, secret, token or None), advice
    if credentials.is_on("RCLONE_CONFIG_S3_ENV_AUTH") or credentials.get(*_ROLES):
        return IamAwsProvider(http_client=pool), "check that the role may read the bucket"
    return None, _ANONYMOUS
