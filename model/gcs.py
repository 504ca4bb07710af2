"""Reads objects of Google Cloud Storage, by its JSON API. Python 3.8 to 3.12."""

import contextlib
import json
import warnings
from typing import Any, Generator, Optional, Tuple
from urllib.parse import quote

import requests

from model.artefacts import ArtefactError, StoreAway
from model.credentials import Credentials

with warnings.catch_warnings():
    # It says that Python 3.8 is old, which who serves with the builder image's can't change.
    warnings.simplefilter("ignore", FutureWarning)
    import google.auth
    from google.auth.exceptions import GoogleAuthError, TransportError
    from google.auth.transport.requests import AuthorizedSession
    from google.oauth2 import service_account

_GOOGLE = "https://storage.googleapis.com"
_SCOPES = ("https://www.googleapis.com/auth/devstorage.read_only",)
_JSON = "RCLONE_CONFIG_GS_SERVICE_ACCOUNT_CREDENTIALS"
_FILE = "GOOGLE_APPLICATION_CREDENTIALS"
_PASSING = (408, 429)


class GcsStore:
    """The store, with what its variables say of who asks."""

    def __init__(self, credentials: Credentials, timeout_s: Tuple[float, float]) -> None:
        """Set up a session; nothing is sent yet.

        Args:
            credentials: The usual variables, or those of an rclone secret.
            timeout_s: Longest silence while connecting, and while reading.

        Raises:
            ArtefactError: The credentials can't be read.
        """
        credentials.check_type("RCLONE_CONFIG_GS_TYPE", "google cloud storage")
        self._timeout_s = timeout_s
        endpoint = credentials.get("RCLONE_CONFIG_GS_ENDPOINT").rstrip("/") or _GOOGLE
        # As rclone has it: without a scheme it is https.
        self._endpoint = endpoint if "://" in endpoint else f"https://{endpoint}"
        found = _found(credentials)
        self._is_anonymous = found is None
        self._session = requests.Session() if found is None else AuthorizedSession(found)

    def chunks(self, bucket: str, key: str, size: int) -> Generator[bytes, None, None]:
        """Read an object.

        Args:
            bucket: Where it is.
            key: Its name.
            size: Of the parts that it comes in.

        Raises:
            StoreAway: The store can't be reached, or is in trouble.
            ArtefactError: The object is not there, or may not be read.
        """
        where = f"gs://{bucket}/{key}"
        url = f"{self._endpoint}/storage/v1/b/{quote(bucket, safe='')}/o/{quote(key, safe='')}"
        try:
            with contextlib.closing(self._get(url)) as response:
                self._check(response, where)
                declared = int(response.headers.get("content-length", 0))
                seen = 0
                for chunk in response.iter_content(size):
                    seen += len(chunk)
                    yield chunk
        except (requests.RequestException, TransportError) as error:
            raise StoreAway(
                f"{where} can't be read ({type(error).__name__}): "
                "can Google Cloud Storage be reached from here?"
            ) from None
        except GoogleAuthError as error:
            raise ArtefactError(
                f"Google gives no access token for {where} ({type(error).__name__}): "
                f"check {_JSON} or {_FILE}, whose key may be revoked"
            ) from None
        if seen < declared:
            raise StoreAway(f"{where} broke off after {seen:,} of {declared:,} bytes")

    def _get(self, url: str) -> requests.Response:
        return self._session.get(
            url,
            params={"alt": "media"},
            # The size is then that of the object, and nothing unpacks to a thousandfold.
            headers={"Accept-Encoding": "identity"},
            stream=True,
            timeout=self._timeout_s,
        )

    def _check(self, response: requests.Response, where: str) -> None:
        status = response.status_code
        if status == 200:
            return
        if status >= 500 or status in _PASSING:
            raise StoreAway(f"{where} can't be read now (status {status}): try again later")
        if status == 404:
            raise ArtefactError(f"{where} is not there: check bucket and prefix in MODEL_URI")
        if status in (401, 403):
            advice = (
                f"no credentials are set: set {_JSON} or {_FILE}"
                if self._is_anonymous
                else f"check {_JSON} or {_FILE}, and that the account may read the bucket"
            )
            raise ArtefactError(f"access to {where} is denied (status {status}): {advice}")
        raise ArtefactError(f"{where} is refused (status {status}): check MODEL_URI")


def _found(credentials: Credentials) -> Optional[Any]:
    """Who asks; None for nobody, which public buckets take."""
    if credentials.is_on("RCLONE_CONFIG_GS_ANONYMOUS"):
        return None
    text, file = credentials.get(_JSON), credentials.get(_FILE)
    # What the libraries say of a key that they can't read may have parts of it.
    if text:
        try:
            return service_account.Credentials.from_service_account_info(
                json.loads(text), scopes=_SCOPES
            )
        except (ValueError, TypeError, AttributeError, GoogleAuthError):
            raise ArtefactError(f"{_JSON} must be the JSON of a service account's key") from None
    try:
        if file:
            with warnings.catch_warnings():
                # Of files from strangers; this one is from whoever deploys.
                warnings.simplefilter("ignore", DeprecationWarning)
                return google.auth.load_credentials_from_file(file, scopes=_SCOPES)[0]
        if credentials.is_on("RCLONE_CONFIG_GS_ENV_AUTH"):
            return google.auth.default(scopes=_SCOPES)[0]
    except (OSError, ValueError, GoogleAuthError) as error:
        raise ArtefactError(
            f"no credentials for Google Cloud Storage ({type(error).__name__}): "
            f"{_FILE} must name the file with a key's JSON"
        ) from None
    return None
