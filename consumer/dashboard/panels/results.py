"""The panel that shows results, with filters and downloads."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from nicegui import ui
from nicegui.events import GenericEventArguments

from consumer.dashboard.context import DashboardContext
from consumer.dashboard.elements import ResultList
from consumer.dashboard.panels import Refresh, panel
from consumer.dashboard.panels.detail import Detail
from consumer.dashboard.rows import query_of, row_of
from consumer.dashboard.selection import Filter, Selection
from consumer.labels import HIRAGANA

_MOST_ROWS = 200
# If there are more new results than this, the list is updated only once a second. A person could
# not follow more updates anyway, and the pauses let the browser react to the user.
_MANY = 25
_MANY_EVERY_S = 1.0
_EMPTY = "There are no results yet. Send an image, draw one, or start a load."
_FLAGS = {
    "abstained": "unsure",
    "outlier": "outliers",
    "wrong": "wrong",
    "dead": "not answered",
}


class ResultsPanel:
    """The panel of one browser.

    Args:
        context: the state and services that all pages share.
    """

    def __init__(self, context: DashboardContext) -> None:
        self._context = context
        self._selection = Selection(context.results, Filter())
        self._shown_at = 0.0
        self._first, self._count = 0, 30
        self._until: int | None = None
        self._shown: tuple[Any, ...] = (0,)
        self._detail = Detail(context)
        with panel("Results"):
            with ui.row().classes("w-full items-center gap-3"):
                self._build_filters()
            self._list = ResultList(_EMPTY).classes("w-full")
            self._list.on("window", self._on_window)
            self._list.on("chosen", self._on_chosen)

    def _build_filters(self) -> None:
        labels = {"": "any label", **{name: f"{kana} {name}" for name, kana in HIRAGANA.items()}}
        ui.select(labels, value="", on_change=lambda event: self._set(label=event.value)).props(
            'dense outlined options-dense aria-label="Label"'
        ).classes("filter-label")
        self._workers = (
            ui.select({"": "any worker"}, value="", on_change=self._set_worker)
            .props('dense outlined options-dense aria-label="Worker"')
            .classes("filter-worker")
        )
        ui.number(
            "below, %", min=0, max=100, on_change=lambda event: self._set(below=_share(event.value))
        ).props("dense outlined clearable").style("width: 7.5rem").classes("filter-below")
        for name, text in _FLAGS.items():
            ui.checkbox(text, on_change=lambda event, n=name: self._set(**{n: event.value})).props(
                f'dense aria-label="{text}"'
            )
        ui.space()
        self._files = [
            ui.link(kind.upper(), f"/api/results.{kind}").props("download")
            for kind in ("csv", "json")
        ]

    def refresh(self) -> None:
        """Updates the panel if there are new results or corrections."""
        log = self._context.results
        known = {
            "": "any worker",
            **{name: name for name in sorted(self._context.feed.score.workers) if name},
        }
        if known != self._workers.options:
            self._workers.set_options(known, value=self._workers.value)
        state = (log.newest, log.corrections, self._until)
        many = log.newest - self._shown[0] > _MANY
        if state == self._shown or (many and time.monotonic() < self._shown_at + _MANY_EVERY_S):
            return
        self._shown = state
        if self._until is None:
            self._show()
        else:
            self._list.run_method("count", self._selection.window(0, 0, self._until).newer)

    def _show(self, method: str = "show") -> None:
        self._shown_at = time.monotonic()
        log = self._context.results
        window = self._selection.window(self._first, self._count, self._until)
        rows = [row_of(each, self._first + at, log) for at, each in enumerate(window.results)]
        self._list.run_method(
            method,
            {
                "total": window.total,
                "newest": window.newest,
                "newer": window.newer,
                "rows": rows,
            },
        )

    def _on_window(self, event: GenericEventArguments) -> None:
        window = event.args
        self._first = max(0, int(window["first"]))
        self._count = min(_MOST_ROWS, max(1, int(window["count"])))
        self._until = None if window["until"] is None else int(window["until"])
        self._show()

    async def _on_chosen(self, event: GenericEventArguments) -> None:
        result = self._context.results.find(int(event.args))
        if result is None:
            ui.notify("This result is no longer kept.")
            return
        await self._detail.open(result)

    def _set_worker(self, event: Any) -> None:
        self._set(worker=event.value or "")

    def _set(self, **conditions: Any) -> None:
        chosen = replace(self._selection.chosen, **conditions)
        self._selection = Selection(self._context.results, chosen)
        query = urlencode(query_of(chosen))
        for link, kind in zip(self._files, ("csv", "json"), strict=True):
            link.props["href"] = f"/api/results.{kind}" + (f"?{query}" if query else "")
            link.update()
        self._first, self._until = 0, None
        self._show("restart")


def _share(percent: float | None) -> float | None:
    return None if percent is None else percent / 100


def results(context: DashboardContext) -> Refresh:
    """Builds the panel."""
    return ResultsPanel(context).refresh
