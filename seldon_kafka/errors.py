"""Errors: why a message is rejected or retried, and who caused an exception.

Exceptions of client libraries are recognised by their qualified names, so that this module does not
import these libraries.
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

# The advice of `seldon-kafka dead-letters show`, by reason. "The message says" means the header
# `kafka-dead-message` of the dead letter.
REASONS = {
    "bad_base64": "binData must be base64 text; encode the bytes again.",
    "bad_headers": "Kafka's header names are UTF-8 text; encode them as UTF-8.",
    "bad_image": "The bytes are not a PNG or JPEG image that the class can read.",
    "bad_payload": "The class refused the payload; its message says why.",
    "bad_prediction": "The class returned NaN, infinity or a shape that can't be sent.",
    "bad_shape": "Send the shape that the message asks for.",
    "bad_value": "A value is missing, of the wrong type or out of range; the message says which.",
    "empty": "The message has no bytes; send a payload.",
    "image_too_large": "The image has more pixels than the class accepts; make it smaller.",
    "invalid_utf8": "JSON is UTF-8 text; encode it as UTF-8.",
    "no_payload": "The JSON has no data, binData, strData, jsonData, inputs or instances.",
    "not_finite": "The class accepts no NaN, null or Infinity; send numbers.",
    "not_json": "The bytes are not JSON; fix them, or name their format in content-type.",
    "not_protobuf": "The bytes are not a message of the type in proto-name.",
    "predict_failed": "The class raised an exception; fix it, then replay.",
    "ragged": "Rows differ in length; send a rectangular array.",
    "reply_refused": "The broker of the output topic refuses the reply; the message says why.",
    "reply_too_large": "The reply is larger than the output topic accepts; send fewer rows.",
    "retries_exhausted": "Only this message kept failing with temporary errors; replay it later.",
    "tombstone": "The value is null; the input topic takes requests only.",
    "too_deep": "Arrays may be nested 32 deep.",
    "too_large": "Send fewer rows in a message, or raise KAFKA_MAX_MESSAGE_BYTES.",
    "undecodable": "The runtime can't decode this payload, though it should; please report it.",
    "unknown_content_type": "Use one of the content types that the message lists.",
    "unknown_proto_name": "proto-name must be seldon.protos.SeldonMessage.",
    "unreadable": "The client could not read the message; send it again, in smaller batches.",
    "unsupported": "The runtime accepts only a part of this format; the message says which.",
    "worker_crash": "A worker died each time it processed this message; see its log.",
}

MESSAGE_LIMIT = 1000
"""Length limit of the text of a rejection, in characters."""

_REASON_WORD = re.compile(r"^[a-z][a-z0-9_]{0,63}$")

MOST_RETRY_AFTER_S = 300.0
"""Limit of the delay that an exception can ask for, in seconds."""

STATUS_CODES = frozenset((408, 425, 429, 502, 503, 504))
"""HTTP status codes of errors after which the same request may succeed (RFC 9110)."""

# Exceptions after which the same call may succeed: Python's by type, gRPC's by status code, and
# those of other libraries by qualified name.
_TEMPORARY = (ConnectionError, TimeoutError, socket.timeout)
_GRPC_CODES = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED")
_TEMPORARY_NAMES = frozenset(
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
# Exceptions after which the same call fails until a person changes something. Some of them are
# connection errors by type.
_LASTING_NAMES = frozenset(
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
    """A command failed; the text is the reason, in one line.

    Attributes:
        exit_status: exit status of the command.
    """

    exit_status = 1


class UsageError(CommandError):
    """Arguments or settings of a command are wrong; the text says what to change."""

    exit_status = 2


class UserModelError(Exception):
    """An error that a user model raises to say whether it or the message caused the error.

    Args:
        message: description of the error, for the sender.
        status_code: HTTP status code. After 408, 425, 429, 502, 503 and 504, the message is tried
            again. Every other code from 400 to 499 is an error of the sender, which does not count
            as a failure of the user model. All other codes count as a failure.
        reason: a stable word of lower-case letters, digits and `_`. After an error of the sender,
            it is the reason of the dead letter.
        app_code: error code of the application, for a header of the dead letter.
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
        # Seldon's exception, which may be a base class, does not pass the text to `Exception`.
        self.args = (message,)
        self.message = message
        self.status_code = status_code
        self.reason = reason
        self.app_code = app_code

    def to_dict(self) -> JsonObject:
        """Returns the JSON with which Seldon's server answers this error."""
        status = {"status": 1, "info": self.message, "code": -1, "reason": self.reason}
        return {"status": status}


class Rejected(Exception):
    """A message can't be answered because of an error of its sender.

    Args:
        reason: a key of `REASONS`.
        message: description of the error, for the sender.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class Retriable(Exception):
    """The user model raised a temporary error, which no message caused.

    Args:
        message: text of the error.
        retry_after_s: delay before the next try that the error asks for, in seconds; 0 for none.
    """

    def __init__(self, message: str, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class BadPrediction(Exception):
    """The answer of the user model can't be sent as a reply."""


class ModelError(NamedTuple):
    """Facts about an exception of a user model, without its text.

    Attributes:
        status_code: HTTP status code with which Seldon's server answers the exception; None if
            unknown.
        reason: reason that the exception gives, or empty.
        app_code: error code of the application, or empty.
        body: JSON with which Seldon's server answers the exception. It is empty if the exception
            has no `to_dict` and the user model has no error handler.
    """

    status_code: Optional[int] = None
    reason: str = ""
    app_code: str = ""
    body: str = ""


UNKNOWN = ModelError()
"""The facts of an exception about which nothing is known."""


def retriable_of(error: BaseException) -> Retriable:
    """Returns a `Retriable` with the text and the delay of a temporary error."""
    return Retriable(describe_error(error), retry_after_s(error))


def rejection_of(record: Record, error: Exception, facts: ModelError = UNKNOWN) -> Rejection:
    """Returns the rejection of a record after an exception.

    Args:
        record: the record.
        error: the exception, of the decoder or of the user model.
        facts: facts about the exception.

    Raises:
        Retriable: the exception is temporary.
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
    """Returns a value as text; empty for None, and if `str()` raises."""
    try:
        return "" if value is None else str(value)
    except Exception:
        return ""


def is_temporary(error: BaseException) -> bool:
    """Returns whether an exception is temporary: the same call may succeed later.

    If `status_code` of the exception is from 400 to 499, this code alone decides. Otherwise the
    exception or one of its causes must show that it is temporary:

    - It is a connection error or time-out of Python or of a common client library, or a temporary
      failure of name resolution.
    - It has one of `STATUS_CODES`.
    - Its attribute `retriable` is True.
    - It is a group of exceptions that are all temporary.

    Errors that last until a person changes something, such as certificate errors and malformed
    addresses, are never temporary. Nor are exceptions that they caused.
    """
    own = status_of(error)
    if own is not None and 400 <= own < 500:
        return own in STATUS_CODES
    causes = list(_with_causes(error))
    return any(map(_is_temporary_itself, causes)) and not any(
        map(_is_lasting, _with_contexts(error))
    )


def status_of(error: BaseException) -> Optional[int]:
    """Returns `status_code` of an exception; None if it is no HTTP status code."""
    status = attribute(error, "status_code")
    return status if _is_status(status) else None


def retry_after_s(error: BaseException) -> float:
    """Returns the delay that an exception or one of its causes asks for, in seconds; 0 for none.

    The delay comes from the attribute `retry_after`, or else from the header `Retry-After` of the
    exception or its response. It is at most `MOST_RETRY_AFTER_S`.
    """
    for cause in _with_causes(error):
        asked = attribute(cause, "retry_after")
        if asked is None:
            asked = _retry_after(cause) or _retry_after(attribute(cause, "response"))
        seconds = _seconds(asked)
        if seconds > 0:
            return min(MOST_RETRY_AFTER_S, seconds)
    return 0.0


def _retry_after(holder: Any) -> Any:
    """Returns the header `Retry-After` among the `headers` of an object, or None."""
    headers = attribute(holder, "headers")
    with contextlib.suppress(Exception):
        return headers.get("Retry-After") or headers.get("retry-after")
    return None


def _seconds(asked: Any) -> float:
    """Returns the seconds until a `Retry-After`, a number or an HTTP date; 0 if it is invalid."""
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
    """Yields the exception, its causes and the exceptions that it wraps, recursively."""
    waiting: List[BaseException] = [error]
    seen: Set[int] = set()
    while waiting:
        found = waiting.pop(0)
        if id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        # requests wraps an exception as an argument; urllib3 and urllib wrap it as `reason`.
        wrapped = (found.__cause__, attribute(found, "reason"), *found.args)
        waiting.extend(each for each in wrapped if isinstance(each, BaseException))


def _with_contexts(error: BaseException) -> Iterator[BaseException]:
    """Yields the exceptions of `_with_causes`, and those in whose handlers they were raised."""
    seen: Set[int] = set()
    for cause in _with_causes(error):
        context: Optional[BaseException] = cause
        while context is not None and id(context) not in seen:
            seen.add(id(context))
            yield context
            context = None if context.__suppress_context__ else context.__context__


def _is_temporary_itself(error: BaseException) -> bool:
    if isinstance(error, _TEMPORARY) or attribute(error, "retriable") is True:
        return True
    group = attribute(error, "exceptions")
    if isinstance(group, tuple) and group:
        # The error is an `ExceptionGroup`, for example of `asyncio.TaskGroup`.
        return all(isinstance(each, BaseException) and is_temporary(each) for each in group)
    if isinstance(error, socket.gaierror):
        return error.errno == socket.EAI_AGAIN
    names = _names_of(error)
    if not names.isdisjoint(_TEMPORARY_NAMES):
        return True
    if "grpc.RpcError" in names:
        with contextlib.suppress(Exception):
            return attribute(error, "code")().name in _GRPC_CODES
        return False
    return _status_in_response(error) in STATUS_CODES or status_of(error) in STATUS_CODES


def _status_in_response(error: BaseException) -> Any:
    """Returns the HTTP status code of the response in an exception, or None."""
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
        _LASTING_NAMES
    )


def _names_of(error: BaseException) -> Set[str]:
    names = {f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__}
    # httpx exports its exceptions at its top level.
    return names | {name.replace("httpx._exceptions.", "httpx.") for name in names}


def attribute(holder: object, name: str) -> Any:
    """Returns an attribute of an object; None if it is missing, or if its property raises."""
    try:
        return getattr(holder, name, None)
    except Exception:
        return None


def _is_status(status: object) -> bool:
    return isinstance(status, int) and not isinstance(status, bool) and 100 <= status < 600
