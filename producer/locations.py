"""Storage locations: a folder, or a prefix of a bucket, through pyarrow's file systems."""

from __future__ import annotations

import contextlib
import os
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import certifi
import pyarrow as pa
from pyarrow.fs import (
    AwsStandardS3RetryStrategy,
    FileInfo,
    FileSelector,
    FileSystem,
    FileType,
    LocalFileSystem,
    S3FileSystem,
)

_AWS = "https://s3.amazonaws.com"
_ATTEMPTS = 5
_CONNECT_S, _READ_S = 5, 30
_AWS_ERROR = re.compile(r"AWS Error (\w+)(?: \(HTTP status (\d+)\))?")
_GONE_BUCKET = "NO_SUCH_BUCKET"
_DENIED = (
    "ACCESS_DENIED",
    "INVALID_ACCESS_KEY_ID",
    "INVALID_CLIENT_TOKEN_ID",
    "INVALID_SIGNATURE",
    "SIGNATURE_DOES_NOT_MATCH",
)
_SOURCES_OF_CREDENTIALS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)


class LocationError(Exception):
    """A storage location can't be used; the message says in one line why, and what to do."""


class ObjectGone(LocationError):
    """The object is not there, or not any more."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An object in a listing.

    Attributes:
        name: Its path below the location, with `/` between the parts.
        size: In bytes.
    """

    name: str
    size: int


class Location:
    """Objects by name. Several threads may use one at once.

    Attributes:
        address: The location's name, always the same for the same one, with `/` at the end.
    """

    def __init__(self, address: str, path: str, file_system: FileSystem) -> None:
        """Describe it; nothing is read yet.

        Args:
            address: See the attribute.
            path: The same for the file system, without `/` at the end.
            file_system: Where the path is.
        """
        self.address = address
        self._path = path
        self._file_system = file_system

    def below(self, folder: str) -> Location:
        """The folder of that name in this one."""
        address, path = f"{self.address}{folder}/", f"{self._path}/{folder}"
        return Location(address, path, self._file_system)

    def entries(self) -> Iterator[Entry]:
        """All objects, folder by folder, each in the order of names; none if there is no folder.

        One folder's list is in memory at a time: 300 bytes an object (CPython 3.11, 200,000 files).

        Raises:
            LocationError: A folder can't be listed.
        """
        folders = [self._path]
        while folders:
            folder = folders.pop()
            found = self._in_folder(folder)
            # Asked for at last: it takes a right more than listing does.
            if not found and folder == self._path and self._lacks_its_bucket():
                raise self._no_bucket()
            folders += [each.path for each in reversed(found) if self._is_folder(each)]
            for each in found:
                if each.type == FileType.File:
                    yield Entry(each.path[len(self._path) + 1 :], each.size)

    def _is_folder(self, info: FileInfo) -> bool:
        """Whether it is a folder, and no link to one, which may lead in a circle."""
        is_local = isinstance(self._file_system, LocalFileSystem)
        return info.type == FileType.Directory and not (is_local and Path(info.path).is_symlink())

    def _lacks_its_bucket(self) -> bool:
        if isinstance(self._file_system, LocalFileSystem):
            return False
        with self._errors(self.address):
            info = self._file_system.get_file_info(self._bucket)
        return bool(info.type == FileType.NotFound)

    def _in_folder(self, path: str) -> list[FileInfo]:
        selector = FileSelector(path, allow_not_found=True, recursive=False)
        with self._errors(self.address):
            found: list[FileInfo] = self._file_system.get_file_info(selector)
        try:
            return sorted(found, key=lambda each: each.path)
        except UnicodeDecodeError as error:
            raise LocationError(f"{error.object!r} is not UTF-8: rename it") from error

    def read(self, name: str) -> bytes:
        """An object's content.

        Raises:
            ObjectGone: There is none of this name.
            LocationError: It can't be read.
        """
        where = f"{self.address}{name}"
        with self._errors(where):
            try:
                with self._file_system.open_input_stream(f"{self._path}/{name}") as stream:
                    content: bytes = stream.readall()
            except FileNotFoundError as error:
                raise ObjectGone(f"{where} is not there any more") from error
        return content

    def write(self, name: str, content: bytes) -> None:
        """Writes an object, whole or not at all; its folder is made if need be.

        Raises:
            LocationError: It can't be written.
        """
        path = f"{self._path}/{name}"
        with self._errors(f"{self.address}{name}"):
            if isinstance(self._file_system, LocalFileSystem):
                _write_file(Path(path), content)
                return
            # An object of a bucket appears when its stream is closed.
            with self._file_system.open_output_stream(path) as stream:
                stream.write(content)

    @contextlib.contextmanager
    def _errors(self, where: str) -> Iterator[None]:
        """Turns errors of the file systems into `LocationError`."""
        try:
            yield
        except (OSError, pa.ArrowException) as error:
            raise self._explained(error, where) from error

    def _explained(self, error: Exception, where: str) -> LocationError:
        if isinstance(self._file_system, LocalFileSystem):
            why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            return LocationError(f"{where}: {why}")
        found = _AWS_ERROR.search(str(error))
        code, status = (found[1], found[2] or "") if found else (type(error).__name__, "")
        host = _endpoint().netloc
        if code == _GONE_BUCKET:
            return self._no_bucket()
        if code == "NETWORK_CONNECTION":
            return LocationError(
                f"{where}: no answer from {host}: is the endpoint right (AWS_ENDPOINT_URL), and "
                "can it be reached from here?"
            )
        if not _has_credentials():
            return LocationError(
                f"{where}: {host} refuses ({code}), and there are no credentials: if the bucket is "
                "not for everybody, set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            )
        if code in _DENIED or status in ("401", "403"):
            return LocationError(
                f"{host} denies access to {where} ({code}): check AWS_ACCESS_KEY_ID, its secret, "
                "and what it may do"
            )
        return LocationError(f"{host} refuses {where} ({' '.join((code, status)).strip()})")

    def _no_bucket(self) -> LocationError:
        return LocationError(
            f"there is no bucket {self._bucket} at {_endpoint().netloc}: check its name and the "
            "endpoint (AWS_ENDPOINT_URL)"
        )

    @property
    def _bucket(self) -> str:
        return self._path.partition("/")[0]


def open_location(address: str | Path) -> Location:
    """The location that an address names; nothing is asked of it yet.

    Args:
        address: A folder, or `s3://bucket/prefix`, whose endpoint and credentials are in
            `AWS_ENDPOINT_URL` (or `S3_ENDPOINT`), `AWS_ACCESS_KEY_ID` and so on.

    Raises:
        LocationError: It is neither.
    """
    address = str(address)
    if "://" not in address:
        path = Path(address).resolve().as_posix().rstrip("/")
        return Location(f"{path}/", path, LocalFileSystem())
    found = re.fullmatch(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?", address)
    if found is None:
        raise LocationError(f"{address} is neither a folder nor like s3://bucket/prefix")
    path = f"{found[1]}/{(found[2] or '').strip('/')}".rstrip("/")
    return Location(f"s3://{path}/", path, _s3(_endpoint()))


def _s3(endpoint: SplitResult) -> S3FileSystem:
    # Amazon's own endpoint depends on the region, and the SDK knows it.
    where = {"scheme": endpoint.scheme, "endpoint_override": endpoint.netloc}
    return S3FileSystem(
        **({} if endpoint.geturl() == _AWS else where),
        # Named, so that the client does not ask where the bucket is, which takes a right more.
        region=os.environ.get("AWS_REGION") or "us-east-1",
        # Without any, the AWS SDK would ask an address that answers in Amazon's network only.
        anonymous=not _has_credentials(),
        # A small object is written by one request, and not by three.
        allow_delayed_open=True,
        connect_timeout=_CONNECT_S,
        request_timeout=_READ_S,
        retry_strategy=AwsStandardS3RetryStrategy(max_attempts=_ATTEMPTS),
        tls_ca_file_path=os.environ.get("SSL_CERT_FILE") or certifi.where(),
    )


def _has_credentials() -> bool:
    """Whether the AWS SDK finds credentials in the environment or in its files."""
    if any(map(os.environ.get, _SOURCES_OF_CREDENTIALS)):
        return True
    file = os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials"
    return Path(file).expanduser().is_file()


def _endpoint() -> SplitResult:
    text = os.environ.get("AWS_ENDPOINT_URL") or os.environ.get("S3_ENDPOINT") or _AWS
    # As rclone has it: without a scheme it is https.
    endpoint = urlsplit(text if "://" in text else f"https://{text}")
    if endpoint.scheme not in ("http", "https") or endpoint.path.strip("/") or "@" in text:
        raise LocationError("AWS_ENDPOINT_URL (or S3_ENDPOINT) must be like https://host:port")
    return endpoint


def _write_file(path: Path, content: bytes) -> None:
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
