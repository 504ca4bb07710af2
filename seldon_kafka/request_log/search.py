"""A client of the `_bulk` protocol, for OpenSearch and Elasticsearch.

https://docs.opensearch.org/latest/api-reference/document-apis/bulk/
"""

from __future__ import annotations

import base64
import dataclasses
import json
from typing import Any, List, NamedTuple, Optional, Sequence
from urllib.parse import urlsplit

import orjson
import requests

from seldon_kafka.config.environment import SettingsError
from seldon_kafka.errors import CommandError
from seldon_kafka.messages import Json, JsonObject
from seldon_kafka.request_log.documents import Document

_CONNECT_S = 5.0
_ANSWER_S = 30.0
_OK, _CREATED, _BAD_REQUEST, _NOT_FOUND, _TOO_LARGE = 200, 201, 400, 404, 413
_UNAUTHORIZED = (401, 403)
_LATER = (408, 429, 500, 502, 503, 504)
_WORDS = 300


class Unavailable(Exception):
    """The search engine does not answer, or asks for a pause; the text says why."""


class TooLarge(Exception):
    """The search engine refuses a request of this size."""


class Unusable(CommandError):
    """The search engine refuses for good; the text says what to change."""


@dataclasses.dataclass(frozen=True)
class Access:
    """The address and credentials of a search engine.

    Attributes:
        url: for example `https://search:9200`.
        username: the user, or empty.
        password: the password; never shown.
        api_key: an API key of Elasticsearch, in place of both; never shown.
        ca_file: file with the certificate authority (PEM); empty for those of the system.
    """

    url: str
    username: str = ""
    password: str = dataclasses.field(default="", repr=False)
    api_key: str = dataclasses.field(default="", repr=False)
    ca_file: str = ""

    def __post_init__(self) -> None:
        """Checks the URL.

        Raises:
            SettingsError: it is invalid, or contains a password, which would be shown.
        """
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
            raise SettingsError(f"{self.url!r} is no URL of a search engine: https://host:9200")
        if parts.username or parts.password:
            raise SettingsError(
                "the URL has a user in it; use REQUEST_LOG_USERNAME and REQUEST_LOG_PASSWORD"
            )


class Refusal(NamedTuple):
    """The refusal of one document.

    Attributes:
        status: HTTP status of the item.
        why: the search engine's text.
    """

    status: int
    why: str

    @property
    def is_for_later(self) -> bool:
        """Whether a later try may succeed."""
        return self.status in _LATER


class SearchEngine:
    """A connection to a search engine.

    Args:
        access: address and credentials.
    """

    def __init__(self, access: Access) -> None:
        self._url = access.url.rstrip("/")
        self._session = requests.Session()
        # Overrides credentials of a .netrc file.
        self._session.auth = _authorization(access)
        if access.ca_file:
            self._session.verify = access.ca_file

    def close(self) -> None:
        """Disconnects."""
        self._session.close()

    def make_index(self, name: str, definition: JsonObject) -> bool:
        """Creates an index, unless an index or alias of this name exists.

        Returns:
            Whether it was created.

        Raises:
            Unavailable: try again later.
            Unusable: it can't be created.
        """
        if self._ask("HEAD", f"/{name}").status_code == _OK:
            return False
        answer = self._ask("PUT", f"/{name}", orjson.dumps(definition))
        if answer.status_code in (_OK, _CREATED):
            return True
        why = _why(answer)
        if "resource_already_exists" in why:
            return False
        raise Unusable(f"index {name} can't be made: {why}")

    def write(self, documents: Sequence[Document]) -> List[Optional[Refusal]]:
        """Writes documents in one request; they replace documents of the same ids.

        Returns:
            For each document None, or its refusal.

        Raises:
            Unavailable: perhaps none is written; try again later.
            TooLarge: try fewer documents.
            Unusable: the search engine refuses all of them.
        """
        lines = []
        for each in documents:
            action = {"index": {"_index": each.index, "_id": each.id}}
            lines += [orjson.dumps(action), b"\n", each.body, b"\n"]
        answer = self._ask("POST", "/_bulk", b"".join(lines), "application/x-ndjson")
        if answer.status_code != _OK:
            raise Unusable(f"it takes no documents: {_why(answer)}")
        try:
            found = orjson.loads(answer.content)
            items = [next(iter(item.values())) for item in found["items"]]
            refusals = [_refusal(item) for item in items]
        except (ValueError, TypeError, KeyError, AttributeError, StopIteration) as error:
            raise Unusable(f"{self._url} does not speak the _bulk protocol") from error
        if len(refusals) != len(documents):
            raise Unusable(f"{self._url} answered {len(refusals)} of {len(documents)} documents")
        return refusals

    def _ask(
        self, method: str, path: str, body: bytes = b"", content_type: str = "application/json"
    ) -> requests.Response:
        try:
            answer = self._session.request(
                method,
                self._url + path,
                data=body,
                headers={"Content-Type": content_type},
                timeout=(_CONNECT_S, _ANSWER_S),
                allow_redirects=False,
            )
        except requests.exceptions.SSLError as error:
            raise Unusable(
                f"{self._url} shows no certificate that is trusted ({_brief(error)}); "
                "name its authority with --ca-file"
            ) from error
        except OSError as error:  # of which requests' own are a kind
            raise Unavailable(f"{self._url} does not answer: {_brief(error)}") from error
        if answer.status_code in _UNAUTHORIZED:
            raise Unusable(
                f"{self._url} does not let us in ({answer.status_code}); see REQUEST_LOG_USERNAME, "
                "REQUEST_LOG_PASSWORD or REQUEST_LOG_API_KEY, and what they may do"
            )
        if answer.status_code == _TOO_LARGE:
            raise TooLarge
        if answer.status_code in _LATER:
            raise Unavailable(f"{self._url} is overloaded: {_why(answer)}")
        return answer


def _authorization(access: Access) -> Any:
    value = None
    if access.api_key:
        value = f"ApiKey {access.api_key}"
    elif access.username:
        pair = f"{access.username}:{access.password}".encode()
        value = f"Basic {base64.b64encode(pair).decode('ascii')}"

    def authorize(request: requests.PreparedRequest) -> requests.PreparedRequest:
        if value is not None:
            request.headers["Authorization"] = value
        return request

    return authorize


def _refusal(item: JsonObject) -> Optional[Refusal]:
    status = int(item["status"])
    if status < _BAD_REQUEST:
        return None
    return Refusal(status, _describe(item.get("error")))


def _why(answer: requests.Response) -> str:
    try:
        words = _describe(orjson.loads(answer.content)["error"])
    except (ValueError, TypeError, KeyError):
        words = answer.reason or ""
    return f"{answer.status_code} {words}".strip()


def _describe(error: Json) -> str:
    if isinstance(error, dict) and isinstance(error.get("reason"), str):
        cause = error.get("caused_by")
        more = f" ({_describe(cause)})" if isinstance(cause, dict) else ""
        return f"{error.get('type')}: {error['reason']}{more}"[:_WORDS]
    return (error if isinstance(error, str) else json.dumps(error))[:_WORDS]


def _brief(error: BaseException) -> str:
    """Returns the innermost reason of an error document."""
    while error.__cause__ is not None or error.__context__ is not None:
        error = error.__cause__ or error.__context__ or error
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__)[:_WORDS]
