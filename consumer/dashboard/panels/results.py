"""The list of results, its filters, and what can be taken away."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from nicegui import ui
from nicegui.events import GenericEventArguments

from consumer.dashboard.board import Board
from consumer.dashboard.elements import ResultList
from consumer.dashboard.panels import Refresh, panel
from consumer.dashboard.panels.detail import Detail
from consumer.dashboard.rows import query_of, row_of
from consumer.dashboard.selection import Filter, Selection
from consumer.labels import HIRAGANA

_MOST_ROWS = 200
# More than so many new ones at a time nobody can follow: they are shown, with their pictures, once
# a second, and the page has time for the person.
_MANY = 25
_MANY_EVERY_S = 1.0
_EMPTY = "Nothing has come yet. Send an image, draw one, or start a load."
_FLAGS = {
    "abstained": "unsure",
    "outlier": "outliers",
    "wrong": "wrong",
    "dead": "not answered",
}


class ResultsPanel:
    """One browser's view of the results."""

    def __init__(self, board: Board) -> None:
        """Build it."""
        self._board = board
        self._selection = Selection(board.results, Filter())
        self._shown_at = 0.0
        self._first, self._count = 0, 30
        self._until: int | None = None
        self._shown: tuple[Any, ...] = (0,)
        self._detail = Detail(board)
        with panel("Results"):
            with ui.row().classes("w-full items-center gap-3"):
                self._build_filters()
            self._list = ResultList(_EMPTY).classes("w-full")
            self._list.on("window", self._asked)
            self._list.on("chosen", self._opened)

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
        """Show what has changed."""
        log = self._board.results
        known = {
            "": "any worker",
            **{name: name for name in sorted(self._board.feed.score.workers) if name},
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
        log = self._board.results
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

    def _asked(self, event: GenericEventArguments) -> None:
        asked = event.args
        self._first = max(0, int(asked["first"]))
        self._count = min(_MOST_ROWS, max(1, int(asked["count"])))
        self._until = None if asked["until"] is None else int(asked["until"])
        self._show()

    async def _opened(self, event: GenericEventArguments) -> None:
        result = self._board.results.find(int(event.args))
        if result is None:
            ui.notify("That one is forgotten already: only the latest are kept.")
            return
        await self._detail.open(result)

    def _set_worker(self, event: Any) -> None:
        self._set(worker=event.value or "")

    def _set(self, **conditions: Any) -> None:
        chosen = replace(self._selection.chosen, **conditions)
        self._selection = Selection(self._board.results, chosen)
        query = urlencode(query_of(chosen))
        for link, kind in zip(self._files, ("csv", "json"), strict=True):
            link.props["href"] = f"/api/results.{kind}" + (f"?{query}" if query else "")
            link.update()
        self._first, self._until = 0, None
        self._show("restart")


def _share(percent: float | None) -> float | None:
    return None if percent is None else percent / 100


def results(board: Board) -> Refresh:
    """Build the panel."""
    return ResultsPanel(board).refresh
