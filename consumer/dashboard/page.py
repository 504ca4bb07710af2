"""The page: built anew for each browser, all of them over the same board."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from nicegui import ui

from consumer.dashboard.access import Guard
from consumer.dashboard.board import Board
from consumer.dashboard.elements import STATIC, Live
from consumer.dashboard.panels import Refresh
from consumer.dashboard.panels.console import console
from consumer.dashboard.panels.history import history
from consumer.dashboard.panels.kafka import kafka
from consumer.dashboard.panels.letters import letters
from consumer.dashboard.panels.metrics import metrics
from consumer.dashboard.panels.quality import quality
from consumer.dashboard.panels.results import results
from consumer.dashboard.panels.send import send
from consumer.dashboard.panels.workers import scaling, workers
from consumer.dashboard.routes import routes
from kafka.replicas.view import span
from producer.bundled_samples import Samples, load_samples

log = logging.getLogger("consumer.dashboard")

TITLE = "Images in, predictions out"
_REFRESH_S = 0.25


def make_app(board: Board, token: str | None) -> Guard:
    """The application that a server runs.

    Args:
        board: What its pages show.
        token: What one must know; None if only this machine can ask.
    """
    app = FastAPI(title=TITLE, docs_url=None, redoc_url=None, openapi_url=None)
    samples = load_samples()
    app.include_router(routes(board, samples))
    app.mount("/static", StaticFiles(directory=STATIC))
    ui.run_with(
        app,
        root=lambda: _page(board, samples),
        title=TITLE,
        dark=None,
        # It looks at each change of the page, and that's many a second; style.css has what is used.
        tailwind=False,
        show_welcome_message=False,
    )
    return Guard(app, token)


def _page(board: Board, samples: Samples) -> None:
    ui.add_head_html(
        '<link rel="stylesheet" href="/static/style.css">'
        '<link rel="preload" href="/static/kana.woff2" as="font" type="font/woff2" crossorigin>'
    )
    ui.colors(primary="#1f5fbf")
    always = [_head(board)]
    with ui.tabs().props("dense no-caps align=left").classes("w-full") as tabs:
        names = ("Stream", "Right or wrong", "Kafka", "Dead letters", "Metrics", "Console")
        made = {name: ui.tab(name) for name in names}
    of_tab: dict[str, list[Refresh]] = {}
    with ui.tab_panels(tabs, value="Stream", animated=False, keep_alive=True).classes("w-full"):
        with ui.tab_panel(made["Stream"]):
            of_tab["Stream"] = _stream(board, samples)
        for name, build in (
            ("Right or wrong", quality),
            ("Kafka", kafka),
            ("Dead letters", letters),
            ("Metrics", metrics),
            ("Console", console),
        ):
            with ui.tab_panel(made[name]), ui.column().classes("w-full gap-3"):
                of_tab[name] = [build(board)]

    def refresh() -> None:
        for each in [*always, *of_tab[tabs.value]]:
            _safely(each)

    tabs.on_value_change(refresh)
    ui.timer(_REFRESH_S, refresh)


def _stream(board: Board, samples: Samples) -> list[Refresh]:
    with ui.element("div").classes("columns"):
        with ui.column().classes("w-full gap-3"):
            sent = send(board, samples)
        with ui.column().classes("w-full gap-3"):
            shown = [results(board), history(board)]
        with ui.column().classes("w-full gap-3"):
            who = [workers(board), scaling(board), console(board)]
    return [sent, *shown, *who]


def _head(board: Board) -> Refresh:
    dark = ui.dark_mode(None)
    with ui.row().classes("w-full items-center justify-between gap-3 head"):
        with ui.column().classes("gap-0"):
            ui.label(TITLE).classes("title").props("role=heading aria-level=1")
            ui.label(
                f"{board.settings.input_topic} → {board.settings.output_topic} on "
                f"{board.settings.broker}"
            ).classes("soft place")
        facts = Live().classes("facts score").props("aria-live=off")
        ui.toggle(
            {"auto": "auto", "light": "light", "dark": "dark"},
            value="auto",
            on_change=lambda event: dark.set_value(
                {"auto": None, "light": False, "dark": True}[event.value]
            ),
        ).props('dense no-caps size=sm aria-label="Light or dark"')
    trouble = ui.label().classes("trouble").props("role=alert")

    def refresh() -> None:
        facts.say(_score(board))
        why = _trouble(board)
        trouble.set_text(why)
        trouble.set_visibility(bool(why))

    return refresh


def _score(board: Board) -> str:
    score, lag = board.feed.score, board.brokers.view.lag
    parts = [
        f"{score.answered:,} answered",
        f"{score.dead:,} dead",
        f"{score.duplicates:,} twice",
        f"{score.out_of_order:,} out of order",
        f"{board.feed.rate():,.0f}/s",
        f"lag {'unknown' if lag is None else format(lag, ',')}",
    ]
    return " · ".join(parts)


def _trouble(board: Board) -> str:
    view = board.brokers.view
    if view.trouble:
        return f"Kafka, for {span(time.time() - view.since_s)}: {view.trouble}. Waiting for it."
    return f"Nothing can be read: {board.feed.trouble}" if board.feed.trouble else ""


def _safely(refresh: Callable[[], None]) -> None:
    """One part that can't be shown must not keep the others from being refreshed."""
    try:
        refresh()
    except Exception:
        log.exception("a part of the page can't be refreshed")
