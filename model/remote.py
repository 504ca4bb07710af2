"""Fetches an artefact from S3 or Google Cloud Storage, into memory. Python 3.8 to 3.12."""

import contextlib
import re
import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TookTooLong
from dataclasses import dataclass
from typing import Callable, Generator, List, Mapping

from model.artefacts import Artefact, ArtefactError, StoreAway, assemble
from model.credentials import Credentials

PATIENCE_S = 60.0
"""Longest time for all of it."""

PAUSES_S = (0.5, 1.0, 2.0, 4.0)
"""Before each new attempt at a file, while the trouble may pass."""

_CHUNK = 64 * 1024
_TIMEOUT_S = (5.0, 10.0)

Chunks = Callable[[str], Generator[bytes, None, None]]


@dataclass(frozen=True)
class Place:
    """A folder in a bucket.

    Attributes:
        scheme: `s3` or `gs`.
        bucket: The bucket's name.
        prefix: What all keys in the folder begin with; without slashes around it.
    """

    scheme: str
    bucket: str
    prefix: str

    def key(self, name: str) -> str:
        """The key of a file in the folder."""
        return f"{self.prefix}/{name}" if self.prefix else name


def place_of(uri: str) -> Place:
    """Take an address apart.

    Raises:
        ArtefactError: It is none, or has credentials in it.
    """
    if "@" in uri:
        raise ArtefactError("MODEL_URI must not hold credentials: it is shown in messages")
    found = re.fullmatch(r"(s3|gs)://([\w.-]+)(?:/([^?#]*))?", uri)
    if found is None:
        raise ArtefactError(
            f"MODEL_URI is {uri!r}: expected a folder, s3://bucket/prefix or gs://bucket/prefix"
        )
    return Place(found[1], found[2], (found[3] or "").strip("/"))


def fetch_artefact(
    uri: str, environ: Mapping[str, str], patience_s: float = PATIENCE_S
) -> Artefact:
    """Fetch an artefact, and hold it against its manifest.

    Args:
        uri: `s3://bucket/prefix` or `gs://bucket/prefix`, with the files below it.
        environ: Variables with credentials.
        patience_s: Longest time for all of it.

    Raises:
        StoreAway: It could not be had in that time.
        ArtefactError: It is not there, may not be read, or is not what its manifest says.
    """
    place = place_of(uri)
    chunks = _opened(place, Credentials(environ))
    trouble: List[StoreAway] = []

    def read(name: str, limit: int) -> bytes:
        return _persistently(lambda: _beginning(chunks(place.key(name)), limit + 1), trouble)

    where = uri.rstrip("/")
    return _within(patience_s, where, lambda: assemble(where, read), trouble)


def _opened(place: Place, credentials: Credentials) -> Chunks:
    # Their libraries take a quarter of a second to import, and most serve what ships.
    if place.scheme == "s3":
        from model.s3 import S3Store

        s3 = S3Store(credentials, _TIMEOUT_S)
        return lambda key: s3.chunks(place.bucket, key, _CHUNK)
    from model.gcs import GcsStore

    gcs = GcsStore(credentials, _TIMEOUT_S)
    return lambda key: gcs.chunks(place.bucket, key, _CHUNK)


def _beginning(chunks: Generator[bytes, None, None], count: int) -> bytes:
    """At most so many bytes, whatever a server goes on to send."""
    content = bytearray()
    with contextlib.closing(chunks):
        for chunk in chunks:
            content += chunk
            if len(content) >= count:
                break
    return bytes(content[:count])


def _persistently(attempt: Callable[[], bytes], trouble: List[StoreAway]) -> bytes:
    for pause_s in PAUSES_S:
        try:
            return attempt()
        except StoreAway as error:
            trouble.append(error)
        time.sleep(pause_s)
    return attempt()


def _within(
    patience_s: float, where: str, work: Callable[[], Artefact], trouble: List[StoreAway]
) -> Artefact:
    """Wait for a thread: a byte now and then would satisfy every time-out of a socket."""
    outcome: Future[Artefact] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        return outcome.result(patience_s)
    except TookTooLong:
        last = f" (last: {trouble[-1]})" if trouble else ""
        raise StoreAway(
            f"{where} was not fetched within {patience_s:g} s: is the store, or the way to it, "
            f"too slow?{last}"
        ) from None
