"""Who may use the page: this machine alone, or whoever knows the token.

Without a token the page is on a loopback address, and asks for nothing: then it also refuses
requests that name another host, which a web page could make a browser send (DNS rebinding). In
both cases what changes something, and the page's websocket, must come from the page itself.
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

LEAST_TOKEN = 16
COOKIE = "dashboard"
_LOGIN = "/login"
_MOST_FORM_BYTES = 4096
_SAFE = ("GET", "HEAD", "OPTIONS")
_HARDENING = (
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
    """Whether an address can be reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Guard:
    """Stands before an ASGI application."""

    def __init__(self, app: App, token: str | None) -> None:
        """Guard an application.

        Args:
            app: What is guarded.
            token: What one must know; None if only this machine can ask.
        """
        self._app = app
        self._token = token
        # What a browser keeps is of no use elsewhere.
        self._pass = hashlib.sha256(f"dashboard {token}".encode()).hexdigest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value for name, value in scope["headers"]}
        host = headers.get("host", b"").decode("latin-1")
        if self._token is None and not is_loopback(_name(host)):
            await _refuse(scope, send, 421, "this page is for this machine alone: 127.0.0.1")
            return
        if _changes(scope) and not _same_origin(headers.get("origin"), host):
            await _refuse(scope, send, 403, "another web page may not do this")
            return
        known = self._token is None or self._known(headers)
        if known and not (self._token and _logs_in(scope)):
            await self._app(scope, receive, _hardened(send))
        else:
            await self._ask(scope, receive, send, known)

    def _known(self, headers: dict[str, bytes]) -> bool:
        try:
            cookie = SimpleCookie(headers.get("cookie", b"").decode("latin-1")).get(COOKIE)
        except CookieError:
            cookie = None
        if cookie is not None and _equal(cookie.value, self._pass):
            return True
        kind, _, given = headers.get("authorization", b"").decode("latin-1").partition(" ")
        return kind.lower() == "bearer" and _equal(given, self._token or "")

    async def _ask(self, scope: Scope, receive: Receive, send: Send, known: bool) -> None:
        """Takes a token, from the address or the form, or asks for it."""
        given = None
        if scope["type"] == "http":
            given = _in_address(scope)
            if scope["path"] == _LOGIN and scope["method"] == "POST":
                form = parse_qs((await _body(receive)).decode("latin-1"))
                given = form.get("token", [""])[0]
        # Another tab of the same browser may have been let in meanwhile.
        if known or (given is not None and _equal(given, self._token or "")):
            # Lax: a link in a mail leads here as well. What changes something asks who sent it.
            cookie = f"{COOKIE}={self._pass}; HttpOnly; SameSite=Lax; Path=/"
            # Away from the address, which browsers remember and show.
            leave = [(b"location", b"/"), (b"set-cookie", cookie.encode())]
            await _answer(send, 303, b"", leave)
            return
        if scope["type"] == "websocket" or scope.get("method") not in (*_SAFE, "POST"):
            await _refuse(scope, send, 401, "the token is missing")
            return
        message = "" if given is None else "That is not the token."
        html = _FORM.replace("MESSAGE", message).encode()
        await _answer(send, 401, html, [(b"content-type", b"text/html; charset=utf-8")])


def _logs_in(scope: Scope) -> bool:
    """Whether a request brings a token that must not stay in the address."""
    return scope["type"] == "http" and (scope["path"] == _LOGIN or _in_address(scope) is not None)


def _in_address(scope: Scope) -> str | None:
    query: bytes = scope["query_string"]
    return parse_qs(query.decode("latin-1")).get("token", [None])[0]


def _name(host: str) -> str:
    """The host of a `Host` header, without its port; nothing if it makes no sense."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _changes(scope: Scope) -> bool:
    return scope["type"] == "websocket" or scope["method"] not in _SAFE


def _same_origin(origin: bytes | None, host: str) -> bool:
    """Whether a request comes of a page of ours; programs other than browsers name no origin."""
    try:
        return origin is None or urlsplit(origin.decode("latin-1")).netloc == host
    except ValueError:
        return False


def _equal(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode())


async def _body(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        part: bytes = message.get("body", b"")
        body += part
        if len(body) > _MOST_FORM_BYTES or not message.get("more_body"):
            return body[:_MOST_FORM_BYTES]


async def _refuse(scope: Scope, send: Send, status: int, why: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": why})
        return
    await _answer(send, status, f"{why}\n".encode(), [(b"content-type", b"text/plain")])


async def _answer(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    common = [*_HARDENING, (b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": common})
    await send({"type": "http.response.body", "body": body})


def _hardened(send: Send) -> Send:
    async def hardened(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *_HARDENING]
        await send(message)

    return hardened
