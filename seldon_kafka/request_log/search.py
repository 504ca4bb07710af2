"""Writes documents to OpenSearch or Elasticsearch with the bulk API.

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
_MOST_CHARACTERS = 300


class Unavailable(Exception):
    """The search engine does not answer, or is overloaded; the message has the reason."""


class TooLarge(Exception):
    """The search engine refuses a request of this size."""


class Unusable(CommandError):
    """The search engine refuses for good; the message has the reason, or what to change."""


@dataclasses.dataclass(frozen=True)
class Access:
    """The address and credentials of a search engine.

    Attributes:
        url: base URL, for example `https://search:9200`.
        username: name of the user; empty for no user.
        password: password of the user; `repr` omits it.
        api_key: API key, used in place of username and password; `repr` omits it.
        ca_file: path of the certificate authority (PEM); empty for the default authorities.
    """

    url: str
    username: str = ""
    password: str = dataclasses.field(default="", repr=False)
    api_key: str = dataclasses.field(default="", repr=False)
    ca_file: str = ""

    def __post_init__(self) -> None:
        """Checks the URL.

        Raises:
            SettingsError: the URL is invalid, or contains a user or password.
        """
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
            raise SettingsError(
                f"{self.url!r} is not the URL of a search engine, such as https://host:9200"
            )
        if parts.username or parts.password:
            raise SettingsError(
                "the URL contains a user or password; use REQUEST_LOG_USERNAME and "
                "REQUEST_LOG_PASSWORD"
            )


class Refusal(NamedTuple):
    """The refusal of one document.

    Attributes:
        status: HTTP status of this document in the response.
        why: error text of the search engine.
    """

    status: int
    why: str

    @property
    def is_for_later(self) -> bool:
        """Whether the status is that of a temporary error."""
        return self.status in _LATER


class SearchEngine:
    """Sends requests to a search engine over one session.

    Args:
        access: address and credentials of the search engine.
    """

    def __init__(self, access: Access) -> None:
        self._url = access.url.rstrip("/")
        self._session = requests.Session()
        # Set even without credentials, so that `requests` does not use those of a .netrc file.
        self._session.auth = _authorization(access)
        if access.ca_file:
            self._session.verify = access.ca_file

    def close(self) -> None:
        """Closes the session."""
        self._session.close()

    def make_index(self, name: str, definition: JsonObject) -> bool:
        """Creates an index, unless an index or alias of this name exists.

        Returns:
            Whether the index was created.

        Raises:
            Unavailable: a later try may succeed.
            Unusable: the index can't be created.
        """
        if self._ask("HEAD", f"/{name}").status_code == _OK:
            return False
        answer = self._ask("PUT", f"/{name}", orjson.dumps(definition))
        if answer.status_code in (_OK, _CREATED):
            return True
        why = _why(answer)
        if "resource_already_exists" in why:
            return False
        raise Unusable(f"index {name} can't be created: {why}")

    def write(self, documents: Sequence[Document]) -> List[Optional[Refusal]]:
        """Writes documents in one request; a document replaces an earlier one with the same id.

        Returns:
            One item per document, in order: None if it was written, otherwise its refusal.

        Raises:
            Unavailable: it is unknown whether documents were written; a later try may succeed.
            TooLarge: the request is too large; fewer documents may fit.
            Unusable: the search engine refuses the request, or its response is invalid.
        """
        lines = []
        for each in documents:
            action = {"index": {"_index": each.index, "_id": each.id}}
            lines += [orjson.dumps(action), b"\n", each.body, b"\n"]
        answer = self._ask("POST", "/_bulk", b"".join(lines), "application/x-ndjson")
        if answer.status_code != _OK:
            raise Unusable(f"{self._url} refuses all documents: {_why(answer)}")
        try:
            found = orjson.loads(answer.content)
            items = [next(iter(item.values())) for item in found["items"]]
            refusals = [_refusal(item) for item in items]
        except (ValueError, TypeError, KeyError, AttributeError, StopIteration) as error:
            raise Unusable(f"{self._url} does not support the bulk API") from error
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
                f"{self._url} has no trusted certificate ({_brief(error)}); "
                "set its certificate authority with --ca-file"
            ) from error
        except OSError as error:  # exceptions of requests are subclasses
            raise Unavailable(f"{self._url} does not answer: {_brief(error)}") from error
        if answer.status_code in _UNAUTHORIZED:
            raise Unusable(
                f"{self._url} denies access ({answer.status_code}); check REQUEST_LOG_USERNAME, "
                "REQUEST_LOG_PASSWORD or REQUEST_LOG_API_KEY, and the permissions of this user"
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
        return f"{error.get('type')}: {error['reason']}{more}"[:_MOST_CHARACTERS]
    return (error if isinstance(error, str) else json.dumps(error))[:_MOST_CHARACTERS]


def _brief(error: BaseException) -> str:
    """Returns the text of the innermost cause of an exception."""
    while error.__cause__ is not None or error.__context__ is not None:
        error = error.__cause__ or error.__context__ or error
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__)[
        :_MOST_CHARACTERS
    ]
