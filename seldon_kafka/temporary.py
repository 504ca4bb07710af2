"""Temporary errors: what passes by itself, so that the same call may succeed later.

Classes of client libraries are known by their qualified names, along the method resolution order
of an exception, so that none of the libraries is ever imported for this.
"""

from __future__ import annotations

import contextlib
import email.utils
import socket
import ssl
import time
from typing import Any, Iterator, List, Optional, Set

MOST_RETRY_AFTER_S = 300.0
"""The longest `Retry-After` that is honoured, in seconds."""

STATUS_CODES = frozenset((408, 425, 429, 502, 503, 504))
"""HTTP status codes that say that the same request may succeed later (RFC 9110)."""

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
# What an operator or a developer has to mend, though some of it is a connection error by type.
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


def is_temporary(error: BaseException) -> bool:
    """Tells whether the same call may succeed later.

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
    """The HTTP status code that an exception names as its own, or None."""
    status = attribute(error, "status_code")
    return status if _is_status(status) else None


def retry_after_s(error: BaseException) -> float:
    """The seconds to wait that an exception, or the response in it, asks for; 0 if it asks none.

    It reads an attribute `retry_after` in seconds, or the `Retry-After` header of a response.
    At most `MOST_RETRY_AFTER_S`.
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
    """Seconds of a `Retry-After`: a number, or an HTTP date."""
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
    """The exception, those that it was raised from, and those that it wraps."""
    waiting: List[BaseException] = [error]
    seen: Set[int] = set()
    while waiting:
        found = waiting.pop(0)
        if id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        # requests wraps urllib3's exception as its argument, urllib3 and urllib theirs as reason.
        wrapped = (found.__cause__, attribute(found, "reason"), *found.args)
        waiting.extend(each for each in wrapped if isinstance(each, BaseException))


def _all_of(error: BaseException) -> Iterator[BaseException]:
    """As `_with_causes`, and those during whose handling each was raised."""
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
    """The status code of the response that an exception was made of."""
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
    # httpx shows its exceptions as its own, wherever they are defined.
    return names | {name.replace("httpx._exceptions.", "httpx.") for name in names}


def attribute(holder: Any, name: str) -> Any:
    """An attribute; None where there is none, or where asking for it raises."""
    try:
        return getattr(holder, name, None)
    except Exception:
        return None


def _is_status(status: Any) -> bool:
    return isinstance(status, int) and not isinstance(status, bool) and 100 <= status < 600
