"""The errors that are temporary."""

from __future__ import annotations

import builtins
import ssl
import sys
import urllib.error
from typing import Any

import pytest

from seldon_kafka.errors import MOST_RETRY_AFTER_S, is_temporary, retry_after_s


def kind(qualified: str, *bases: type[BaseException], **attributes: Any) -> type[BaseException]:
    module, _, name = qualified.rpartition(".")
    return type(name, bases or (Exception,), {"__module__": module, **attributes})


def library_error(qualified: str, above: str = "", **attributes: Any) -> BaseException:
    """Returns an exception of a client library that is not imported, with its base class."""
    bases = (kind(above),) if above else ()
    return kind(qualified, *bases, **attributes)("away")


def raised_from(error: BaseException, cause: BaseException) -> BaseException:
    try:
        raise error from cause
    except BaseException as raised:
        return raised


class Coded(Exception):
    def __init__(self, status_code: int) -> None:
        super().__init__("no")
        self.status_code = status_code


class Response:
    def __init__(self, status_code: int, **headers: str) -> None:
        self.status_code = status_code
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class GrpcCode:
    name = "UNAVAILABLE"


THROTTLED = {"ResponseMetadata": {"HTTPStatusCode": 429}}
LONG_AGO = "Thu, 01 Jan 1970 00:00:00 GMT"
CERTIFICATE = ssl.SSLCertVerificationError("self-signed")
TEMPORARY = [
    ConnectionResetError(),
    TimeoutError(),
    TimeoutError(),
    library_error("requests.exceptions.ConnectionError"),
    library_error("requests.exceptions.ReadTimeout", "requests.exceptions.Timeout"),
    library_error("urllib3.exceptions.NewConnectionError"),
    library_error("httpx._exceptions.ConnectError", "httpx.NetworkError"),
    library_error("grpc._channel._Rpc", "grpc.RpcError", code=lambda self: GrpcCode),
    library_error("botocore.exceptions.EndpointConnectionError"),
    library_error("redis.exceptions.ConnectionError"),
    library_error("mylib.Error", retriable=True),
    raised_from(ValueError("no features"), ConnectionError()),
    raised_from(RuntimeError("no features"), library_error("redis.exceptions.TimeoutError")),
    library_error("requests.exceptions.HTTPError", response=Response(503)),
    library_error("botocore.exceptions.ClientError", response=THROTTLED),
    urllib.error.URLError(ConnectionRefusedError()),
    *map(Coded, (408, 425, 429, 502, 503, 504)),
]
LASTING = [
    ValueError("no"),
    Coded(400),
    Coded(404),
    Coded(500),
    CERTIFICATE,
    library_error("requests.exceptions.SSLError", "requests.exceptions.ConnectionError"),
    library_error("requests.exceptions.MissingSchema"),
    library_error("httpx.UnsupportedProtocol", "httpx.NetworkError"),
    library_error("redis.exceptions.AuthenticationError", "redis.exceptions.ConnectionError"),
    raised_from(library_error("httpx.ConnectError", "httpx.NetworkError"), CERTIFICATE),
    library_error("requests.exceptions.HTTPError", response=Response(404)),
    urllib.error.URLError("unknown url type: spam"),
    raised_from(Coded(422), ConnectionError()),
]


@pytest.mark.parametrize("error", TEMPORARY, ids=repr)
def test_connection_errors_timeouts_and_their_codes_are_temporary(error: BaseException) -> None:
    assert is_temporary(error)


@pytest.mark.parametrize("error", LASTING, ids=repr)
def test_other_errors_and_those_that_need_a_repair_are_not_temporary(error: BaseException) -> None:
    assert not is_temporary(error)


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (library_error("a.Error", retry_after=7), 7.0),
        (library_error("a.Error", response=Response(503, Retry_After="12")), 12.0),
        (library_error("a.Error", response=Response(503, Retry_After="86400")), MOST_RETRY_AFTER_S),
        (library_error("a.Error", response=Response(503, Retry_After="soon")), 0.0),
        (library_error("a.Error", response=Response(503, Retry_After=LONG_AGO)), 0.0),
        (raised_from(ValueError(), library_error("a.Error", retry_after=3.5)), 3.5),
        (ValueError(), 0.0),
    ],
)
def test_retry_after_is_read_and_limited(error: BaseException, seconds: float) -> None:
    assert retry_after_s(error) == seconds


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python has no exception groups")
def test_a_group_of_errors_is_temporary_if_each_of_them_is() -> None:
    group: Any = vars(builtins)["ExceptionGroup"]
    assert is_temporary(group("tasks", [ConnectionError(), group("more", [TimeoutError()])]))
    assert not is_temporary(group("tasks", [ConnectionError(), ValueError()]))
