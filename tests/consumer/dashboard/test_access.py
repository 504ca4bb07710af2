"""Who may see the page, and who may not even knock."""

from __future__ import annotations

import warnings

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from consumer.dashboard.__main__ import main
from consumer.dashboard.access import Guard, is_loopback

with warnings.catch_warnings():
    # It would rather have another HTTP client than the one that the dashboard brings along.
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

TOKEN = "correct horse battery staple"
HERE = "http://127.0.0.1:8090"


async def inside(scope: Scope, receive: Receive, send: Send) -> None:
    """What is guarded."""
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
def test_this_machine_is_let_in_without_a_token(host: str) -> None:
    assert client().get("/", headers={"host": host}).text == "inside"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.1", ""])
def test_a_page_of_another_name_is_refused_without_a_token(host: str) -> None:
    assert client().get("/", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("token", [None, TOKEN])
@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:9"])
def test_another_web_page_can_change_nothing(token: str | None, origin: str) -> None:
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


def test_a_token_is_asked_for_and_remembered() -> None:
    visitor = client(TOKEN, "https://dashboard.example")
    asked = visitor.get("/")
    assert asked.status_code == 401
    assert "inside" not in asked.text
    wrong = visitor.post("/login", data={"token": "<script>alert(1)</script>"})
    assert wrong.status_code == 401
    assert "<script>" not in wrong.text
    let_in = visitor.post("/login", data={"token": TOKEN})
    assert (let_in.status_code, let_in.headers["location"]) == (303, "/")
    cookie = let_in.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert TOKEN not in cookie
    assert visitor.get("/").text == "inside"


def test_a_token_in_the_address_does_not_stay_there() -> None:
    visitor = client(TOKEN)
    assert visitor.get("/", params={"token": TOKEN}).headers["location"] == "/"
    assert visitor.get("/").text == "inside"


def test_who_was_let_in_in_another_tab_is_led_to_the_page_by_form_and_by_link() -> None:
    visitor = client(TOKEN)
    visitor.post("/login", data={"token": TOKEN})
    for again in (
        visitor.post("/login", data={"token": TOKEN}),
        visitor.get("/login"),
        visitor.get("/", params={"token": TOKEN}),
    ):
        assert (again.status_code, again.headers["location"]) == (303, "/")
    assert visitor.get("/").text == "inside"


def test_names_that_make_no_sense_are_refused() -> None:
    assert client().get("/", headers={"host": "[::1"}).status_code == 421
    assert client().post("/", headers={"origin": "http://[::1"}).status_code == 403


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}"])
def test_programs_need_the_token_as_well(given: str) -> None:
    assert client(TOKEN).get("/", headers={"authorization": given}).status_code == 401
    right = {"authorization": f"Bearer {TOKEN}"}
    assert client(TOKEN).get("/", headers=right).text == "inside"
    with pytest.raises(WebSocketDisconnect), client(TOKEN).websocket_connect("/ws") as socket:
        socket.receive_text()


def test_no_other_page_can_frame_this_one() -> None:
    for answer in (client().get("/"), client(TOKEN).get("/")):
        assert answer.headers["x-frame-options"] == "DENY"


def test_loopback_is_told_from_what_looks_like_it() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "localhost", "::1", "127.1.2.3")))
    assert not any(map(is_loopback, ("0.0.0.0", "", "localhost.evil", "192.168.0.1", "::")))


@pytest.mark.parametrize("token", ["", "short"])
def test_a_page_that_others_reach_does_not_start_without_a_token(
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
def test_wrong_arguments_are_told_before_any_broker_is_asked(
    arguments: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert why in capsys.readouterr().err
