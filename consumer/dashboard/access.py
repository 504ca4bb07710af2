"""Allows access to the page only from this machine, or with a token.

Without a token, the server listens on a loopback address, and refuses requests with another host
name. By DNS rebinding, another web page could make a browser send such requests. With or without a
token, a request that changes something or opens the websocket is refused if its `Origin` header
names another page. Browsers send this header with all such requests; other programs need not.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MIN_TOKEN_LENGTH = 16
COOKIE = "dashboard"
_LOGIN = "/login"
_MOST_FORM_BYTES = 4096
_SAFE = ("GET", "HEAD", "OPTIONS")
_SECURITY_HEADERS = (
    (b"x-frame-options", b"DENY"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
)
_FORM = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Token</title><style>
:root{color-scheme:light dark}body{font:16px system-ui;display:grid;place-items:center;
min-height:90vh}form{display:grid;gap:.7em;width:min(22em,90vw)}input,button{font:inherit;
padding:.5em}p{margin:0}</style>
<form method="post" action="/login"><label for="token">This dashboard asks for its token.</label>
<input id="token" name="token" type="password" autocomplete="current-password" autofocus required>
<button>Open</button><p role="alert">MESSAGE</p></form></html>"""


def is_loopback(host: str) -> bool:
    """Returns whether an address is a loopback address, which only this machine can reach."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Guard:
    """ASGI middleware that passes only permitted requests to an application.

    Args:
        app: the application.
        token: the token that a browser must know; None if only this machine may use the page.
    """

    def __init__(self, app: App, token: str | None) -> None:
        self._app = app
        self._token = token
        # The cookie has a hash, so that nobody can read the token from a browser.
        self._cookie_value = hashlib.sha256(f"dashboard {token}".encode()).hexdigest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request to the application, or answers it with a refusal or the login form."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value for name, value in scope["headers"]}
        host = headers.get("host", b"").decode("latin-1")
        if self._token is None and not is_loopback(_name(host)):
            await _refuse(scope, send, 421, "only this machine may use this page, at 127.0.0.1")
            return
        if _changes(scope) and not _same_origin(headers.get("origin"), host):
            await _refuse(scope, send, 403, "requests from other web pages are refused")
            return
        authenticated = self._token is None or self._is_authenticated(headers)
        if authenticated and not (self._token and _logs_in(scope)):
            await self._app(scope, receive, _with_security_headers(send))
        else:
            await self._log_in(scope, receive, send, authenticated)

    def _is_authenticated(self, headers: dict[str, bytes]) -> bool:
        try:
            cookie = SimpleCookie(headers.get("cookie", b"").decode("latin-1")).get(COOKIE)
        except CookieError:
            cookie = None
        if cookie is not None and _equal(cookie.value, self._cookie_value):
            return True
        kind, _, candidate = headers.get("authorization", b"").decode("latin-1").partition(" ")
        return kind.lower() == "bearer" and _equal(candidate, self._token or "")

    async def _log_in(
        self, scope: Scope, receive: Receive, send: Send, authenticated: bool
    ) -> None:
        """Logs in with the token from the address or the form; else shows the form or refuses."""
        candidate = None
        if scope["type"] == "http":
            candidate = _token_in_address(scope)
            if scope["path"] == _LOGIN and scope["method"] == "POST":
                form = parse_qs((await _body(receive)).decode("latin-1"))
                candidate = form.get("token", [""])[0]
        # Another tab of the same browser may have logged in meanwhile.
        if authenticated or (candidate is not None and _equal(candidate, self._token or "")):
            # With `Lax`, links in mails work. The check of the origin stops other web pages.
            cookie = f"{COOKIE}={self._cookie_value}; HttpOnly; SameSite=Lax; Path=/"
            # The redirection removes the token from the address, which browsers store and show.
            redirect = [(b"location", b"/"), (b"set-cookie", cookie.encode())]
            await _answer(send, 303, b"", redirect)
            return
        if scope["type"] == "websocket" or scope.get("method") not in (*_SAFE, "POST"):
            await _refuse(scope, send, 401, "the token is missing or wrong")
            return
        message = "" if candidate is None else "That is not the token."
        html = _FORM.replace("MESSAGE", message).encode()
        await _answer(send, 401, html, [(b"content-type", b"text/html; charset=utf-8")])


def _logs_in(scope: Scope) -> bool:
    """Returns whether a request logs in, or has a token in its address."""
    return scope["type"] == "http" and (
        scope["path"] == _LOGIN or _token_in_address(scope) is not None
    )


def _token_in_address(scope: Scope) -> str | None:
    query: bytes = scope["query_string"]
    return parse_qs(query.decode("latin-1")).get("token", [None])[0]


def _name(host: str) -> str:
    """Returns the host of a `Host` header without its port; empty if the header is invalid."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _changes(scope: Scope) -> bool:
    return scope["type"] == "websocket" or scope["method"] not in _SAFE


def _same_origin(origin: bytes | None, host: str) -> bool:
    """Returns whether a request comes from this page, or has no origin, as from a program."""
    try:
        return origin is None or urlsplit(origin.decode("latin-1")).netloc == host
    except ValueError:
        return False


def _equal(candidate: str, expected: str) -> bool:
    return hmac.compare_digest(candidate.encode("utf-8", "replace"), expected.encode())


async def _body(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        part: bytes = message.get("body", b"")
        body += part
        if len(body) > _MOST_FORM_BYTES or not message.get("more_body"):
            return body[:_MOST_FORM_BYTES]


async def _refuse(scope: Scope, send: Send, status: int, reason: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": reason})
        return
    await _answer(send, status, f"{reason}\n".encode(), [(b"content-type", b"text/plain")])


async def _answer(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    common = [*_SECURITY_HEADERS, (b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": common})
    await send({"type": "http.response.body", "body": body})


def _with_security_headers(send: Send) -> Send:
    async def send_with_headers(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *_SECURITY_HEADERS]
        await send(message)

    return send_with_headers
