"""Workers as cards, and how many of them there are to be."""

from __future__ import annotations

import time
from typing import Any

from nicegui import ui
from nicegui.events import GenericEventArguments

from consumer.dashboard.board import Board
from consumer.dashboard.cards import GONE, Card
from consumer.dashboard.elements import Cards
from consumer.dashboard.fleet import AUTOMATIC, BY_HAND, OFF, Scaling
from consumer.dashboard.panels import Refresh, button, panel
from kafka.replicas.view import span

_GONE_FOR_S = 90.0
_MODES = {OFF: "off", BY_HAND: "by hand", AUTOMATIC: "automatic"}


def workers(board: Board) -> Refresh:
    """Build the panel of cards."""
    with panel("Workers"):
        with ui.row().classes("w-full items-center justify-between"):
            says = ui.label().classes("soft")
            button("Kill one at random", lambda: board.console.run(board.backend.kill_random()))
        trouble = ui.label().classes("trouble")
        cards = Cards()
        cards.on("act", lambda event: _act(board, event))

    def refresh() -> None:
        view = board.telemetry.view
        now_s = time.time()
        shown = [
            each
            for each in view.cards
            if each.instance.ended_s is None or now_s - each.instance.ended_s < _GONE_FOR_S
        ]
        cards.show(cards=[card_values(each, now_s) for each in shown])
        running = sum(each.state != GONE for each in shown)
        wanted = view.fleet.wanted
        says.set_text(
            f"{running} on {board.backend.place}"
            + (f", {wanted} wanted" if wanted not in (None, running) else "")
        )
        trouble.set_text(view.trouble)
        trouble.set_visibility(bool(view.trouble))

    return refresh


def _act(board: Board, event: GenericEventArguments) -> None:
    act = {"stop": board.backend.stop, "kill": board.backend.kill}[event.args["what"]]
    board.console.run(act(str(event.args["name"])))


def card_values(card: Card, now_s: float) -> dict[str, Any]:
    """A card as the browser shows it."""
    instance = card.instance
    ended_s = instance.ended_s
    facts = []
    if ended_s is not None:
        facts.append(
            f"gone {span(now_s - ended_s)} ago, after {span(ended_s - instance.started_s)}"
        )
    else:
        facts.append(f"up {span(now_s - instance.started_s)}")
        facts.append(f"partitions {_ranges(card.partitions)}")
        facts.append(f"{card.messages:,} messages")
        facts.append(f"{card.rate:,.0f}/s")
        if card.batch is not None:
            facts.append(f"{card.batch:,.1f} a batch")
        if card.memory_bytes is not None:
            facts.append(f"{card.memory_bytes / 2**20:,.0f} MiB")
        if card.restarts:
            facts.append(f"restarted {card.restarts} times")
    stages = ", ".join(f"{name} {spent:.1f}" for name, spent in card.stages.items())
    return {
        "identity": instance.identity,
        "name": instance.name,
        "state": card.state,
        "why": card.why,
        "facts": facts,
        "stages": f"ms a batch: {stages}" if stages and ended_s is None else "",
    }


def _ranges(partitions: tuple[int, ...]) -> str:
    """`0-3, 7` for 0, 1, 2, 3 and 7."""
    if not partitions:
        return "none"
    parts: list[list[int]] = []
    for each in partitions:
        if parts and each == parts[-1][-1] + 1:
            parts[-1].append(each)
        else:
            parts.append([each])
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)


class ScalingPanel:
    """The panel that says how many workers there are to be."""

    def __init__(self, board: Board) -> None:
        """Build it."""
        self._board = board
        self._known: Scaling | None = None
        with panel("Scaling"):
            self._mode = (
                ui.toggle(_MODES, value=BY_HAND).props("dense no-caps spread").classes("w-full")
            )
            with ui.grid(columns=2).classes("w-full gap-2"):
                self._minimum = _number("minimum")
                self._maximum = _number("maximum")
                self._count = _number("by hand")
                self._lag = _number("lag for each worker")
            with ui.row().classes("items-center gap-2"):
                self._update = button("Update", self._apply, primary=True)
                self._says = ui.label().classes("soft")

    def refresh(self) -> None:
        """Take over what somebody else has set; what is being typed here stays."""
        fleet = self._board.telemetry.view.fleet
        scaling = fleet.scaling
        self._update.set_enabled(scaling is not None)
        if scaling is not None and scaling != self._known:
            before, self._known = self._known, scaling
            self._offer(fleet.modes, scaling)
            for field, name in (
                (self._mode, "mode"),
                (self._minimum, "minimum"),
                (self._maximum, "maximum"),
                (self._count, "count"),
                (self._lag, "lag_per_worker"),
            ):
                value = getattr(scaling, name)
                if before is None or value != getattr(before, name):
                    field.set_value(value)
        self._says.set_text(self._in_words())

    def _offer(self, modes: tuple[str, ...], scaling: Scaling) -> None:
        """Leave nothing to be set that would be refused, or would change nothing."""
        offered = {mode: _MODES[mode] for mode in modes}
        if offered != self._mode.options:
            self._mode.set_options(offered, value=scaling.mode)
        bounded = AUTOMATIC in modes
        self._minimum.set_visibility(bounded)
        self._maximum.set_visibility(bounded)
        self._count.set_visibility(BY_HAND in modes)
        self._lag.set_visibility(bounded and scaling.lag_per_worker > 0)

    def _in_words(self) -> str:
        scaling, lag = self._known, self._board.brokers.view.lag
        if scaling is None or lag is None:
            return ""
        if scaling.mode != AUTOMATIC or not scaling.lag_per_worker:
            return f"lag {lag:,}"
        asked = -(-lag // scaling.lag_per_worker)
        return f"lag {lag:,} / {scaling.lag_per_worker:,} asks for {asked:,}"

    def _apply(self) -> None:
        try:
            scaling = Scaling(
                str(self._mode.value),
                *(
                    int(each.value)
                    for each in (self._minimum, self._maximum, self._count, self._lag)
                ),
            )
        except (TypeError, ValueError):
            ui.notify("Fill in whole numbers.", type="warning")
            return
        if scaling.minimum > scaling.maximum:
            ui.notify("The minimum is above the maximum.", type="warning")
            return
        self._board.console.run(self._board.backend.scale(scaling))


def scaling(board: Board) -> Refresh:
    """Build the panel."""
    return ScalingPanel(board).refresh


def _number(label: str) -> Any:
    return ui.number(label, min=0, precision=0).props("dense outlined")
