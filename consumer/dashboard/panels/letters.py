"""The panel that shows dead letters, with buttons to replay them."""

from __future__ import annotations

import time
from typing import Any

from nicegui import ui
from nicegui.events import GenericEventArguments

from consumer.dashboard.console import Program
from consumer.dashboard.context import DashboardContext
from consumer.dashboard.elements import Table
from consumer.dashboard.letters import LoggedLetter
from consumer.dashboard.panels import Refresh, button, panel
from consumer.dashboard.rows import picture_address
from kafka.replicas.view import span

_ROWS = 200
_TEXT = 300


class LettersPanel:
    """The panel of one browser.

    Args:
        context: the state and services that all pages share.
    """

    def __init__(self, context: DashboardContext) -> None:
        self._context = context
        self._seen: tuple[int, str, int] | None = None
        with panel("Dead letters"):
            with ui.row().classes("w-full items-center gap-3"):
                self._reason = (
                    ui.select({"": "any reason"}, value="")
                    .props('dense outlined options-dense aria-label="Reason"')
                    .classes("letter-reason")
                )
                self._replay = button("Replay all with this reason", self._replay_reason)
                self._summary = ui.label().classes("soft")
            self._table = Table(
                "", "position", "reason", "message", "key", "rejected", "by", "replayed", ""
            )
            self._table.on("act", self._act)

    def refresh(self) -> None:
        """Updates the panel if its content has changed."""
        log = self._context.letters
        now = (log.version, str(self._reason.value), int(time.time() / 10))
        if now == self._seen:
            return
        self._seen = now
        letters = log.newest()
        reasons = {each.envelope.reason for each in letters}
        options = {"": "any reason", **{each: each for each in sorted(reasons)}}
        if options != self._reason.options:
            self._reason.set_options(options, value=self._reason.value)
        chosen = [
            each for each in letters if self._reason.value in ("", None, each.envelope.reason)
        ]
        waiting = sum(not each.replays for each in chosen)
        self._summary.set_text(
            f"{len(chosen):,} letters, {waiting:,} not replayed"
            + (f"; the newest {_ROWS} are shown" if len(chosen) > _ROWS else "")
        )
        self._replay.set_enabled(bool(self._reason.value))
        self._table.show(rows=[self._row(each) for each in chosen[:_ROWS]])

    def _row(self, letter: LoggedLetter) -> dict[str, Any]:
        envelope = letter.envelope
        topic = self._context.settings.dead_letter_topic
        position = (topic, envelope.at.partition, envelope.at.offset)
        ago = span(time.time() - envelope.rejected_ms / 1000)
        replayed: Any = {"text": f"{letter.replays}×", "mark": "right"} if letter.replays else "no"
        return {
            "key": envelope.position,
            "cells": [
                {"picture": picture_address(position, 0)},
                envelope.position,
                envelope.reason,
                envelope.message[:_TEXT],
                (envelope.key or "")[:_TEXT],
                f"{ago} ago",
                envelope.worker,
                replayed,
                {"text": "Replay", "act": "replay", "disabled": bool(letter.replays)},
            ],
        }

    def _act(self, event: GenericEventArguments) -> None:
        self._run("replay", str(event.args["key"]))

    def _replay_reason(self) -> None:
        self._run("replay", "--reason", str(self._reason.value))

    def _run(self, *words: str) -> None:
        environment = {"KAFKA_BROKER": self._context.settings.broker}
        program = Program(["seldon_kafka", "dead-letters", *words], environment)
        self._context.console.run(program.action)


def letters(context: DashboardContext) -> Refresh:
    """Builds the panel."""
    return LettersPanel(context).refresh
