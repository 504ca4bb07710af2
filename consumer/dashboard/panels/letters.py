"""Dead letters: why, with their picture, and back to the topic once all is mended."""

from __future__ import annotations

import time
from typing import Any

from nicegui import ui
from nicegui.events import GenericEventArguments

from consumer.dashboard.board import Board
from consumer.dashboard.console import Program
from consumer.dashboard.elements import Table
from consumer.dashboard.letters import Shown
from consumer.dashboard.panels import Refresh, button, panel
from consumer.dashboard.rows import picture_address
from kafka.replicas.view import span

_ROWS = 200
_TEXT = 300


class LettersPanel:
    """One browser's view of the dead letters."""

    def __init__(self, board: Board) -> None:
        """Build it."""
        self._board = board
        self._seen: tuple[int, str, int] | None = None
        with panel("Dead letters"):
            with ui.row().classes("w-full items-center gap-3"):
                self._reason = (
                    ui.select({"": "any reason"}, value="")
                    .props('dense outlined options-dense aria-label="Reason"')
                    .classes("letter-reason")
                )
                self._replay = button("Replay all of this reason", self._replay_reason)
                self._says = ui.label().classes("soft")
            self._table = Table(
                "", "place", "reason", "message", "key", "rejected", "by", "replayed", ""
            )
            self._table.on("act", self._act)

    def refresh(self) -> None:
        """Show what has changed."""
        box = self._board.letters
        now = (box.version, str(self._reason.value), int(time.time() / 10))
        if now == self._seen:
            return
        self._seen = now
        letters = box.newest()
        reasons = {each.envelope.reason for each in letters}
        options = {"": "any reason", **{each: each for each in sorted(reasons)}}
        if options != self._reason.options:
            self._reason.set_options(options, value=self._reason.value)
        chosen = [
            each for each in letters if self._reason.value in ("", None, each.envelope.reason)
        ]
        waiting = sum(not each.replays for each in chosen)
        self._says.set_text(
            f"{len(chosen):,} letters, {waiting:,} not replayed"
            + (f"; the newest {_ROWS} are shown" if len(chosen) > _ROWS else "")
        )
        self._replay.set_enabled(bool(self._reason.value))
        self._table.show(rows=[self._row(each) for each in chosen[:_ROWS]])

    def _row(self, letter: Shown) -> dict[str, Any]:
        envelope = letter.envelope
        topic = self._board.settings.dead_letter_topic
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
        environment = {"KAFKA_BROKER": self._board.settings.broker}
        program = Program(["seldon_kafka", "dead-letters", *words], environment)
        self._board.console.run(program.action)


def letters(board: Board) -> Refresh:
    """Build the panel."""
    return LettersPanel(board).refresh
