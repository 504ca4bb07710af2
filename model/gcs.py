"""Reads objects of Google Cloud Storage through its JSON API. Python 3.8 to 3.12."""

import contextlib
import json
import warnings
from typing import Any, Generator, Optional, Tuple
from urllib.parse import quote

import requests

from model.artefacts import ArtefactError, StoreUnavailable
from model.credentials import Credentials

with warnings.catch_warnings():
    # Google's library warns that Python 3.8 is too old. The s2i builder image has no other version.
    warnings.simplefilter("ignore", FutureWarning)
    import google.auth
    from google.auth.exceptions import GoogleAuthError, TransportError
    from google.auth.transport.requests import AuthorizedSession
    from google.oauth2 import service_account

_GOOGLE = "https://storage.googleapis.com"
_SCOPES = ("https://www.googleapis.com/auth/devstorage.read_only",)
_JSON = "RCLONE_CONFIG_GS_SERVICE_ACCOUNT_CREDENTIALS"
_FILE = "GOOGLE_APPLICATION_CREDENTIALS"
_TEMPORARY_STATUS = (408, 429)


class GcsStore:
    """A client of Google Cloud Storage; it connects with the first request.

    Args:
        credentials: Google's usual variables, or those of an rclone secret.
        timeout_s: time limits of a connect and of a read, in seconds.

    Raises:
        ArtefactError: the credentials cannot be read.
    """

    def __init__(self, credentials: Credentials, timeout_s: Tuple[float, float]) -> None:
        credentials.check_type("RCLONE_CONFIG_GS_TYPE", "google cloud storage")
        self._timeout_s = timeout_s
        endpoint = credentials.get("RCLONE_CONFIG_GS_ENDPOINT").rstrip("/") or _GOOGLE
        # The default scheme is https, as in rclone.
        self._endpoint = endpoint if "://" in endpoint else f"https://{endpoint}"
        account = _load_account(credentials)
        self._is_anonymous = account is None
        self._session = requests.Session() if account is None else AuthorizedSession(account)

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
            raise StoreUnavailable(
                f"{where} cannot be read ({type(error).__name__}): "
                "can Google Cloud Storage be reached from here?"
            ) from None
        except GoogleAuthError as error:
            raise ArtefactError(
                f"Google gives no access token for {where} ({type(error).__name__}): "
                f"check {_JSON} or {_FILE}; the key may be revoked"
            ) from None
        if seen < declared:
            raise StoreUnavailable(f"{where} ended after {seen:,} of {declared:,} bytes")

    def _get(self, url: str) -> requests.Response:
        return self._session.get(
            url,
            params={"alt": "media"},
            # Without compression, the content-length is the object's size, and a small response
            # cannot expand to a large object.
            headers={"Accept-Encoding": "identity"},
            stream=True,
            timeout=self._timeout_s,
        )

    def _check(self, response: requests.Response, where: str) -> None:
        status = response.status_code
        if status == 200:
            return
        if status >= 500 or status in _TEMPORARY_STATUS:
            raise StoreUnavailable(f"{where} cannot be read now (status {status}): try again later")
        if status == 404:
            raise ArtefactError(f"{where} does not exist: check bucket and prefix in MODEL_URI")
        if status in (401, 403):
            advice = (
                f"no credentials are set: set {_JSON} or {_FILE}"
                if self._is_anonymous
                else f"check {_JSON} or {_FILE}, and that the account may read the bucket"
            )
            raise ArtefactError(f"access to {where} is denied (status {status}): {advice}")
        raise ArtefactError(f"{where} is refused (status {status}): check MODEL_URI")


def _load_account(credentials: Credentials) -> Optional[Any]:
    """Returns the credentials of an account; None for anonymous access to public buckets."""
    if credentials.is_on("RCLONE_CONFIG_GS_ANONYMOUS"):
        return None
    text, file = credentials.get(_JSON), credentials.get(_FILE)
    # The libraries' messages about a broken key may contain parts of it, so they are not shown.
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
                # The warning is about files of unknown origin; the operator provides this one.
                warnings.simplefilter("ignore", DeprecationWarning)
                return google.auth.load_credentials_from_file(file, scopes=_SCOPES)[0]
        if credentials.is_on("RCLONE_CONFIG_GS_ENV_AUTH"):
            return google.auth.default(scopes=_SCOPES)[0]
    except (OSError, ValueError, GoogleAuthError) as error:
        raise ArtefactError(
            f"no credentials for Google Cloud Storage ({type(error).__name__}): "
            f"{_FILE} must name the file with a key's JSON, or this machine must have an account"
        ) from None
    return None
