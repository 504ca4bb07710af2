"""Errors: why a message is rejected or retried, and who caused an exception.

Exceptions of client libraries are recognised by their qualified names, so that no library is
imported for it.
"""

from __future__ import annotations

import contextlib
import email.utils
import re
import socket
import ssl
import time
from typing import Any, Iterator, List, NamedTuple, Optional, Set, Tuple

from seldon_kafka.messages import (
    DEAD_APP_CODE,
    DEAD_ERROR,
    DEAD_ERROR_REASON,
    DEAD_STATUS_CODE,
    JsonObject,
    Record,
    Rejection,
)
from seldon_kafka.seldon_types import known_to_seldon

REASONS = {
    "bad_base64": "binData must be base64 text; encode the bytes again.",
    "bad_headers": "Kafka's header names are UTF-8 text; encode them as UTF-8.",
    "bad_image": "The bytes are not a PNG or JPEG image that the class can read.",
    "bad_payload": "The class refused the payload; its message says why.",
    "bad_prediction": "The class returned NaN, infinity or a shape that can't be sent.",
    "bad_shape": "Send the shape that the message asks for.",
    "bad_value": "A value is missing, of the wrong type or out of range; the message says which.",
    "empty": "The message has no bytes; send a payload.",
    "image_too_large": "The picture has more pixels than the class takes; make it smaller.",
    "invalid_utf8": "JSON is UTF-8 text; encode it as UTF-8.",
    "no_payload": "JSON without data, binData, strData, jsonData, inputs or instances.",
    "not_finite": "The class takes no NaN, null or Infinity; send numbers.",
    "not_json": "The bytes are not JSON; fix them, or name their format in content-type.",
    "not_protobuf": "The bytes are not the message that proto-name says.",
    "predict_failed": "The class raised an exception; fix it, then replay.",
    "ragged": "Rows differ in length; send a rectangular array.",
    "reply_refused": "The output topic's broker refuses the reply; the message says why.",
    "reply_too_large": "The reply is larger than the output topic takes; send fewer rows.",
    "retries_exhausted": "It alone kept failing with a temporary error; replay it later.",
    "tombstone": "The value is null; the input topic takes requests only.",
    "too_deep": "Arrays may be nested 32 deep.",
    "too_large": "Send fewer rows in a message, or raise KAFKA_MAX_MESSAGE_BYTES.",
    "undecodable": "The runtime can't decode this payload, though it should; please report it.",
    "unknown_content_type": "Use one of the content types that the message lists.",
    "unknown_proto_name": "proto-name must be seldon.protos.SeldonMessage.",
    "unreadable": "No part of it could be read; send it again, in smaller batches.",
    "unsupported": "The format allows it, but not here; the message says what is taken.",
    "worker_crash": "A worker died each time it processed this message; see its log.",
}

MESSAGE_LIMIT = 1000
"""Longest text of a rejection, in characters."""

_REASON_WORD = re.compile(r"^[a-z][a-z0-9_]{0,63}$")

MOST_RETRY_AFTER_S = 300.0
"""The longest `Retry-After` that is honoured, in seconds."""

STATUS_CODES = frozenset((408, 425, 429, 502, 503, 504))
"""HTTP status codes of errors after which the same request may succeed (RFC 9110)."""

_BUILT_IN = (ConnectionError, TimeoutError, socket.timeout)
_GRPC_CODES = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED")
_NAMES = frozenset(
    {
        "aiohttp.client_exceptions.ClientConnectionError",
        "asyncio.exceptions.TimeoutError",
        "botocore.exceptions.ConnectTimeoutError",
        "botocore.exceptions.ConnectionClosedError",
        "botocore.exceptions.ConnectionError",
        "botocore.exceptions.EndpointConnectionError",
        "botocore.exceptions.ProxyConnectionError",
        "botocore.exceptions.ReadTimeoutError",
        "concurrent.futures._base.TimeoutError",
        "grpc.FutureTimeoutError",
        "httpx.NetworkError",
        "httpx.ProxyError",
        "httpx.RemoteProtocolError",
        "httpx.TimeoutException",
        "redis.exceptions.ClusterDownError",
        "redis.exceptions.ConnectionError",
        "redis.exceptions.TimeoutError",
        "redis.exceptions.TryAgainError",
        "requests.exceptions.ChunkedEncodingError",
        "requests.exceptions.ConnectionError",
        "requests.exceptions.Timeout",
        "urllib3.exceptions.MaxRetryError",
        "urllib3.exceptions.NewConnectionError",
        "urllib3.exceptions.ProtocolError",
        "urllib3.exceptions.ProxyError",
        "urllib3.exceptions.TimeoutError",
    }
)
# Errors that last until somebody mends them, although some are connection errors by type.
_LASTING = frozenset(
    {
        "aiohttp.client_exceptions.ClientSSLError",
        "aiohttp.client_exceptions.InvalidURL",
        "botocore.exceptions.InvalidProxiesConfigError",
        "botocore.exceptions.SSLError",
        "httpx.InvalidURL",
        "httpx.LocalProtocolError",
        "httpx.UnsupportedProtocol",
        "redis.exceptions.AuthenticationError",
        "redis.exceptions.AuthorizationError",
        "requests.exceptions.InvalidProxyURL",
        "requests.exceptions.InvalidSchema",
        "requests.exceptions.InvalidURL",
        "requests.exceptions.MissingSchema",
        "requests.exceptions.SSLError",
        "urllib3.exceptions.LocationValueError",
        "urllib3.exceptions.SSLError",
        "urllib3.exceptions.URLSchemeUnknown",
    }
)


class CommandError(Exception):
    """A command fails; the text says why in one line.

    Attributes:
        exit_status: exit status of the command.
    """

    exit_status = 1


class UsageError(CommandError):
    """A command is used wrongly; the text says what to change."""

    exit_status = 2


class UserModelError(Exception):
    """An error that a user model raises to say what went wrong with a message.

    Args:
        message: what is wrong, for the sender.
        status_code: HTTP status code: 400 to 499 if the sender's message is wrong, so that it
            does not count as a failure of the class; 408, 425, 429, 502, 503 and 504 are temporary
            errors, and the message is tried again.
        reason: a stable word for the dead letter's header, letters, digits and `_`.
        app_code: the application's own error code, for the dead letter's header.
    """

    def __new__(cls, *_: object, **__: object) -> UserModelError:
        """Makes an instance that Seldon's server recognises too, if it is imported."""
        kind = known_to_seldon(cls, "seldon_core.flask_utils", "SeldonMicroserviceException")
        made: UserModelError = Exception.__new__(kind)
        return made

    def __init__(
        self, message: str, status_code: int = 400, reason: str = "", app_code: str = ""
    ) -> None:
        super().__init__(message)
        # In Seldon's own, the text is in `message` alone.
        self.args = (message,)
        self.message = message
        self.status_code = status_code
        self.reason = reason
        self.app_code = app_code

    def to_dict(self) -> JsonObject:
        """The `status` that Seldon's server answers such an error with."""
        status = {"status": 1, "info": self.message, "code": -1, "reason": self.reason}
        return {"status": status}


class Rejected(Exception):
    """A message can't be answered because of an error of its sender.

    Args:
        reason: a key of `REASONS`.
        message: the error, and what the sender can do.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class Retriable(Exception):
    """The user model met a temporary error; no message caused it.

    Args:
        message: the text of the error.
        retry_after_s: delay that the error asks for, in seconds; 0 for none.
    """

    def __init__(self, message: str, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class BadPrediction(Exception):
    """The user model's answer can't be a reply."""


class ModelError(NamedTuple):
    """Facts about an exception beside its text.

    Attributes:
        status_code: HTTP status of Seldon's server for this exception; None if it is unknown.
        reason: its reason word, or empty.
        app_code: the application's own error code, or empty.
        body: JSON answer of Seldon's server; empty if the exception has no `to_dict` and the class
            has no handler.
    """

    status_code: Optional[int] = None
    reason: str = ""
    app_code: str = ""
    body: str = ""


UNKNOWN = ModelError()
"""The facts of an exception without any."""


def retriable_of(error: BaseException) -> Retriable:
    """Returns the runtime's exception for a temporary error."""
    return Retriable(describe_error(error), retry_after_s(error))


def rejection_of(record: Record, error: Exception, facts: ModelError = UNKNOWN) -> Rejection:
    """Returns the rejection for an exception.

    Args:
        record: the message.
        error: the exception.
        facts: facts of the exception, with those of the class's error handler.

    Raises:
        Retriable: the error is temporary.
    """
    if isinstance(error, Rejected):
        return Rejection(record, error.reason, error.message)
    status = facts.status_code
    if status in STATUS_CODES or (status is None and is_temporary(error)):
        raise retriable_of(error) from error
    headers = _headers(facts)
    if status is not None and 400 <= status < 500:
        word = facts.reason if _REASON_WORD.match(facts.reason) else "bad_payload"
        message = _error_text(error)
        return Rejection(record, word, message[:MESSAGE_LIMIT], headers=headers)
    if is_temporary(error):
        raise retriable_of(error) from error
    message = describe_error(error)[:MESSAGE_LIMIT]
    reason = "bad_prediction" if isinstance(error, BadPrediction) else "predict_failed"
    return Rejection(record, reason, message, failed=True, headers=headers)


def _headers(facts: ModelError) -> Tuple[Tuple[str, bytes], ...]:
    values: List[Tuple[str, str]] = [
        (DEAD_STATUS_CODE, "" if facts.status_code is None else str(facts.status_code)),
        (DEAD_ERROR_REASON, facts.reason[:MESSAGE_LIMIT]),
        (DEAD_APP_CODE, facts.app_code[:MESSAGE_LIMIT]),
        (DEAD_ERROR, facts.body),
    ]
    return tuple((name, value.encode("utf-8", "replace")) for name, value in values if value)


def describe_error(error: BaseException) -> str:
    """Returns the type and text of an exception."""
    text = _error_text(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _error_text(error: BaseException) -> str:
    # Seldon's exceptions have their text in `message`, and their str() is empty.
    return text_or_empty(error) or text_or_empty(attribute(error, "message"))


def text_or_empty(value: object) -> str:
    """Returns any value as text; empty for None, and for a value without a text."""
    try:
        return "" if value is None else str(value)
    except Exception:
        return ""


def is_temporary(error: BaseException) -> bool:
    """Returns whether the same call may succeed later.

    An exception is temporary if it, or one that it was raised from, is a connection error or a
    time-out of Python or of a common client, carries one of `STATUS_CODES`, or has an attribute
    `retriable` that is True. Certificate errors and malformed addresses are not.
    """
    own = status_of(error)
    if own is not None and 400 <= own < 500:
        return own in STATUS_CODES
    causes = list(_with_causes(error))
    return any(map(_is_temporary_itself, causes)) and not any(map(_is_lasting, _all_of(error)))


def status_of(error: BaseException) -> Optional[int]:
    """Returns the HTTP status code of an exception, or None."""
    status = attribute(error, "status_code")
    return status if _is_status(status) else None


def retry_after_s(error: BaseException) -> float:
    """Returns the delay that an exception or its response asks for, in seconds; 0 for none.

    It reads an attribute `retry_after`, or the `Retry-After` header of a response. The result is at
    most `MOST_RETRY_AFTER_S`.
    """
    for cause in _with_causes(error):
        asked = attribute(cause, "retry_after")
        if asked is None:
            asked = _header(cause) or _header(attribute(cause, "response"))
        seconds = _seconds(asked)
        if seconds > 0:
            return min(MOST_RETRY_AFTER_S, seconds)
    return 0.0


def _header(holder: Any) -> Any:
    headers = attribute(holder, "headers")
    with contextlib.suppress(Exception):
        return headers.get("Retry-After") or headers.get("retry-after")
    return None


def _seconds(asked: Any) -> float:
    """Parses a `Retry-After` to seconds: a number, or an HTTP date."""
    if isinstance(asked, (int, float)):
        return float(asked)
    try:
        return float(asked)
    except (TypeError, ValueError):
        pass
    try:
        return email.utils.parsedate_to_datetime(asked).timestamp() - time.time()
    except (TypeError, ValueError, AttributeError, OverflowError):
        return 0.0


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    """Yields the exception, its causes, and the exceptions that it wraps."""
    waiting: List[BaseException] = [error]
    seen: Set[int] = set()
    while waiting:
        found = waiting.pop(0)
        if id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        # requests wraps urllib3's exception as an argument; urllib3 and urllib wrap as `reason`.
        wrapped = (found.__cause__, attribute(found, "reason"), *found.args)
        waiting.extend(each for each in wrapped if isinstance(each, BaseException))


def _all_of(error: BaseException) -> Iterator[BaseException]:
    """Yields the same, and the exceptions that were handled when these were raised."""
    seen: Set[int] = set()
    for cause in _with_causes(error):
        context: Optional[BaseException] = cause
        while context is not None and id(context) not in seen:
            seen.add(id(context))
            yield context
            context = None if context.__suppress_context__ else context.__context__


def _is_temporary_itself(error: BaseException) -> bool:
    if isinstance(error, _BUILT_IN) or attribute(error, "retriable") is True:
        return True
    group = attribute(error, "exceptions")
    if isinstance(group, tuple) and group:
        # An `ExceptionGroup`, as `asyncio.TaskGroup` raises it.
        return all(isinstance(each, BaseException) and is_temporary(each) for each in group)
    if isinstance(error, socket.gaierror):
        return error.errno == socket.EAI_AGAIN
    names = _names_of(error)
    if not names.isdisjoint(_NAMES):
        return True
    if "grpc.RpcError" in names:
        with contextlib.suppress(Exception):
            return attribute(error, "code")().name in _GRPC_CODES
        return False
    return _status_in_response(error) in STATUS_CODES or status_of(error) in STATUS_CODES


def _status_in_response(error: BaseException) -> Any:
    """Returns the status code of the response in an exception."""
    response = attribute(error, "response")
    if isinstance(response, dict):
        with contextlib.suppress(Exception):
            return response["ResponseMetadata"]["HTTPStatusCode"]
        return None
    if response is not None:
        return attribute(response, "status_code") or attribute(response, "status")
    if "urllib.error.HTTPError" in _names_of(error):
        return attribute(error, "code")
    return None


def _is_lasting(error: BaseException) -> bool:
    return isinstance(error, ssl.SSLCertVerificationError) or not _names_of(error).isdisjoint(
        _LASTING
    )


def _names_of(error: BaseException) -> Set[str]:
    names = {f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__}
    # httpx exports its exceptions at its top level.
    return names | {name.replace("httpx._exceptions.", "httpx.") for name in names}


def attribute(holder: object, name: str) -> Any:
    """Returns an attribute; None if it is missing, or if reading it raises."""
    try:
        return getattr(holder, name, None)
    except Exception:
        return None


def _is_status(status: object) -> bool:
    return isinstance(status, int) and not isinstance(status, bool) and 100 <= status < 600
