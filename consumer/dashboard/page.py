"""Builds the page for each browser; all pages show the same context."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from nicegui import ui

from consumer.dashboard.access import Guard
from consumer.dashboard.context import DashboardContext
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


def make_app(context: DashboardContext, token: str | None) -> Guard:
    """Returns the application of the dashboard.

    Args:
        context: the state and services that all pages share.
        token: the token that a browser must know; None if only this machine may use the page.
    """
    app = FastAPI(title=TITLE, docs_url=None, redoc_url=None, openapi_url=None)
    samples = load_samples()
    app.include_router(routes(context, samples))
    app.mount("/static", StaticFiles(directory=STATIC))
    ui.run_with(
        app,
        root=lambda: _page(context, samples),
        title=TITLE,
        dark=None,
        # Tailwind would process each change of the page. style.css has the classes instead.
        tailwind=False,
        show_welcome_message=False,
    )
    return Guard(app, token)


def _page(context: DashboardContext, samples: Samples) -> None:
    ui.add_head_html(
        '<link rel="stylesheet" href="/static/style.css">'
        '<link rel="preload" href="/static/kana.woff2" as="font" type="font/woff2" crossorigin>'
    )
    ui.colors(primary="#1f5fbf")
    always = [_head(context)]
    with ui.tabs().props("dense no-caps align=left").classes("w-full") as tabs:
        names = ("Stream", "Right or wrong", "Kafka", "Dead letters", "Metrics", "Console")
        made = {name: ui.tab(name) for name in names}
    of_tab: dict[str, list[Refresh]] = {}
    with ui.tab_panels(tabs, value="Stream", animated=False, keep_alive=True).classes("w-full"):
        with ui.tab_panel(made["Stream"]):
            of_tab["Stream"] = _stream(context, samples)
        for name, build in (
            ("Right or wrong", quality),
            ("Kafka", kafka),
            ("Dead letters", letters),
            ("Metrics", metrics),
            ("Console", console),
        ):
            with ui.tab_panel(made[name]), ui.column().classes("w-full gap-3"):
                of_tab[name] = [build(context)]

    def refresh() -> None:
        for each in [*always, *of_tab[tabs.value]]:
            _call_safely(each)

    tabs.on_value_change(refresh)
    ui.timer(_REFRESH_S, refresh)


def _stream(context: DashboardContext, samples: Samples) -> list[Refresh]:
    with ui.element("div").classes("columns"):
        with ui.column().classes("w-full gap-3"):
            sent = send(context, samples)
        with ui.column().classes("w-full gap-3"):
            shown = [results(context), history(context)]
        with ui.column().classes("w-full gap-3"):
            who = [workers(context), scaling(context), console(context)]
    return [sent, *shown, *who]


def _head(context: DashboardContext) -> Refresh:
    dark = ui.dark_mode(None)
    with ui.row().classes("w-full items-center justify-between gap-3 head"):
        with ui.column().classes("gap-0"):
            ui.label(TITLE).classes("title").props("role=heading aria-level=1")
            ui.label(
                f"{context.settings.input_topic} → {context.settings.output_topic} on "
                f"{context.settings.broker}"
            ).classes("soft stream-address")
        facts = Live().classes("facts score").props("aria-live=off")
        ui.toggle(
            {"auto": "auto", "light": "light", "dark": "dark"},
            value="auto",
            on_change=lambda event: dark.set_value(
                {"auto": None, "light": False, "dark": True}[event.value]
            ),
        ).props('dense no-caps size=sm aria-label="Light or dark"')
    error = ui.label().classes("error-text").props("role=alert")

    def refresh() -> None:
        facts.set_text(_score(context))
        text = _error(context)
        error.set_text(text)
        error.set_visibility(bool(text))

    return refresh


def _score(context: DashboardContext) -> str:
    score, lag = context.feed.score, context.brokers.view.lag
    parts = [
        f"{score.answered:,} answered",
        f"{score.dead:,} dead",
        f"{score.duplicates:,} duplicates",
        f"{score.out_of_order:,} out of order",
        f"{context.feed.rate():,.0f}/s",
        f"lag {'unknown' if lag is None else format(lag, ',')}",
    ]
    return " · ".join(parts)


def _error(context: DashboardContext) -> str:
    view = context.brokers.view
    if view.error:
        return f"No connection to Kafka for {span(time.time() - view.since_s)}: {view.error}."
    return f"The topics can't be read: {context.feed.error}" if context.feed.error else ""


def _call_safely(refresh: Callable[[], None]) -> None:
    """Refreshes a panel. An error is logged, so that the other panels are still refreshed."""
    try:
        refresh()
    except Exception:
        log.exception("a panel of the page can't be refreshed")
