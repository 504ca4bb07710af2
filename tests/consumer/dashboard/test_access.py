"""Access to the page: from this machine, with a token, and from other web pages."""

from __future__ import annotations

import warnings

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from consumer.dashboard.__main__ import main
from consumer.dashboard.access import Guard, is_loopback

with warnings.catch_warnings():
    # The module warns that it prefers another HTTP client than the installed one.
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

TOKEN = "correct horse battery staple"
HERE = "http://127.0.0.1:8090"


async def inside(scope: Scope, receive: Receive, send: Send) -> None:
    """A fake of the application behind the guard."""
    if scope["type"] == "websocket":
        socket = WebSocket(scope, receive, send)
        await socket.accept()
        await socket.send_text("inside")
        await socket.close()
        return
    await PlainTextResponse("inside")(scope, receive, send)


def client(token: str | None = None, base_url: str = HERE) -> TestClient:
    return TestClient(Guard(inside, token), base_url=base_url, follow_redirects=False)


@pytest.mark.parametrize("host", ["127.0.0.1:1", "localhost", "[::1]:8090", "127.8.8.8"])
def test_this_machine_needs_no_token(host: str) -> None:
    assert client().get("/", headers={"host": host}).text == "inside"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.1", ""])
def test_another_host_name_is_refused_without_a_token(host: str) -> None:
    assert client().get("/", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("token", [None, TOKEN])
@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:9"])
def test_requests_of_another_web_page_are_refused(token: str | None, origin: str) -> None:
    headers = {"origin": origin, "authorization": f"Bearer {TOKEN}"}
    assert client(token).post("/api/pictures", headers=headers).status_code == 403
    with (
        pytest.raises(WebSocketDisconnect),
        client(token).websocket_connect("/ws", headers=headers) as socket,
    ):
        socket.receive_text()


def test_the_page_itself_may_change_things() -> None:
    assert client().post("/", headers={"origin": HERE}).text == "inside"
    with client().websocket_connect("ws://127.0.0.1:8090/ws", headers={"origin": HERE}) as socket:
        assert socket.receive_text() == "inside"


def test_the_form_takes_the_token_and_a_cookie_keeps_the_login() -> None:
    visitor = client(TOKEN, "https://dashboard.example")
    form = visitor.get("/")
    assert form.status_code == 401
    assert "inside" not in form.text
    wrong = visitor.post("/login", data={"token": "<script>alert(1)</script>"})
    assert wrong.status_code == 401
    assert "<script>" not in wrong.text
    logged_in = visitor.post("/login", data={"token": TOKEN})
    assert (logged_in.status_code, logged_in.headers["location"]) == (303, "/")
    cookie = logged_in.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert TOKEN not in cookie
    assert visitor.get("/").text == "inside"


def test_a_token_in_the_address_is_removed_by_a_redirection() -> None:
    visitor = client(TOKEN)
    assert visitor.get("/", params={"token": TOKEN}).headers["location"] == "/"
    assert visitor.get("/").text == "inside"


def test_a_second_login_leads_to_the_page() -> None:
    visitor = client(TOKEN)
    visitor.post("/login", data={"token": TOKEN})
    for again in (
        visitor.post("/login", data={"token": TOKEN}),
        visitor.get("/login"),
        visitor.get("/", params={"token": TOKEN}),
    ):
        assert (again.status_code, again.headers["location"]) == (303, "/")
    assert visitor.get("/").text == "inside"


def test_invalid_host_names_are_refused() -> None:
    assert client().get("/", headers={"host": "[::1"}).status_code == 421
    assert client().post("/", headers={"origin": "http://[::1"}).status_code == 403


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}"])
def test_programs_need_the_token(authorization: str) -> None:
    assert client(TOKEN).get("/", headers={"authorization": authorization}).status_code == 401
    right = {"authorization": f"Bearer {TOKEN}"}
    assert client(TOKEN).get("/", headers=right).text == "inside"
    with pytest.raises(WebSocketDisconnect), client(TOKEN).websocket_connect("/ws") as socket:
        socket.receive_text()


def test_the_page_cannot_be_framed() -> None:
    for answer in (client().get("/"), client(TOKEN).get("/")):
        assert answer.headers["x-frame-options"] == "DENY"


def test_loopback_addresses_are_recognised() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "localhost", "::1", "127.1.2.3")))
    assert not any(map(is_loopback, ("0.0.0.0", "", "localhost.evil", "192.168.0.1", "::")))


@pytest.mark.parametrize("token", ["", "short"])
def test_a_public_page_does_not_start_without_a_token(
    token: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DASHBOARD_TOKEN", token)
    assert main(["--host", "0.0.0.0"]) == 2
    assert "DASHBOARD_TOKEN" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--context", "east"], "--context goes with --kubernetes"),
        (["--kubernetes", "kmnist"], "--kubernetes takes NAMESPACE/NAME, not kmnist"),
    ],
)
def test_wrong_arguments_are_an_error(
    arguments: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert why in capsys.readouterr().err
