"""Fetches an artefact from S3 or Google Cloud Storage into memory. Python 3.8 to 3.12."""

import contextlib
import re
import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from typing import Callable, Generator, List, Mapping

from model.artefacts import Artefact, ArtefactError, StoreUnavailable, assemble
from model.credentials import Credentials

TIMEOUT_S = 60.0
"""Time limit of a fetch in seconds, all retries included."""

PAUSES_S = (0.5, 1.0, 2.0, 4.0)
"""Pauses in seconds before the retries of a file; only temporary errors are retried."""

_CHUNK = 64 * 1024
_REQUEST_TIMEOUT_S = (5.0, 10.0)

Chunks = Callable[[str], Generator[bytes, None, None]]


@dataclass(frozen=True)
class StorageLocation:
    """A folder in a bucket.

    Attributes:
        scheme: `s3` or `gs`.
        bucket: the bucket's name.
        prefix: common prefix of the keys in the folder, without slashes around it.
    """

    scheme: str
    bucket: str
    prefix: str

    def key(self, name: str) -> str:
        """Returns the key of a file in the folder."""
        return f"{self.prefix}/{name}" if self.prefix else name


def parse_uri(uri: str) -> StorageLocation:
    """Parses the URI of a model.

    Raises:
        ArtefactError: the URI is invalid, or contains credentials.
    """
    if "@" in uri:
        raise ArtefactError(
            "MODEL_URI must not contain credentials (or @), because messages show it"
        )
    found = re.fullmatch(r"(s3|gs)://([\w.-]+)(?:/([^?#]*))?", uri)
    if found is None:
        raise ArtefactError(
            f"MODEL_URI is {uri!r}: expected a folder, s3://bucket/prefix or gs://bucket/prefix"
        )
    return StorageLocation(found[1], found[2], (found[3] or "").strip("/"))


def fetch_artefact(uri: str, environ: Mapping[str, str], timeout_s: float = TIMEOUT_S) -> Artefact:
    """Fetches an artefact, and checks the model file against the manifest.

    Args:
        uri: `s3://bucket/prefix` or `gs://bucket/prefix` of the folder.
        environ: environment variables with credentials.
        timeout_s: time limit of the fetch in seconds, all retries included.

    Raises:
        StoreUnavailable: the artefact was not fetched in time, or all retries failed.
        ArtefactError: the artefact does not exist, access is denied, or the manifest does not
            match the model file.
    """
    location = parse_uri(uri)
    chunks = _open_store(location, Credentials(environ))
    errors: List[StoreUnavailable] = []

    def read(name: str, limit: int) -> bytes:
        return _with_retries(lambda: _read_at_most(chunks(location.key(name)), limit + 1), errors)

    where = uri.rstrip("/")
    return _call_with_timeout(timeout_s, where, lambda: assemble(where, read), errors)


def _open_store(location: StorageLocation, credentials: Credentials) -> Chunks:
    # The libraries take a quarter of a second to import, and shipped models do not need them.
    if location.scheme == "s3":
        from model.s3 import S3Store

        s3 = S3Store(credentials, _REQUEST_TIMEOUT_S)
        return lambda key: s3.chunks(location.bucket, key, _CHUNK)
    from model.gcs import GcsStore

    gcs = GcsStore(credentials, _REQUEST_TIMEOUT_S)
    return lambda key: gcs.chunks(location.bucket, key, _CHUNK)


def _read_at_most(chunks: Generator[bytes, None, None], count: int) -> bytes:
    """Reads at most this number of bytes, even if the server sends more."""
    content = bytearray()
    with contextlib.closing(chunks):
        for chunk in chunks:
            content += chunk
            if len(content) >= count:
                break
    return bytes(content[:count])


def _with_retries(attempt: Callable[[], bytes], errors: List[StoreUnavailable]) -> bytes:
    for pause_s in PAUSES_S:
        try:
            return attempt()
        except StoreUnavailable as error:
            errors.append(error)
        time.sleep(pause_s)
    return attempt()


def _call_with_timeout(
    timeout_s: float, where: str, work: Callable[[], Artefact], errors: List[StoreUnavailable]
) -> Artefact:
    """Runs the work in a thread, and raises `StoreUnavailable` after the time limit.

    Time limits of a socket do not end a slow transfer, because some data always arrives in time.
    """
    outcome: Future[Artefact] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        return outcome.result(timeout_s)
    except FutureTimeout:
        last = f" (last error: {errors[-1]})" if errors else ""
        raise StoreUnavailable(
            f"{where} was not fetched within {timeout_s:g} s: is the store or the network "
            f"too slow?{last}"
        ) from None
