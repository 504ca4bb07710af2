"""The panels that show the workers and their scaling."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Any

from nicegui import ui
from nicegui.events import GenericEventArguments

from consumer.dashboard.cards import GONE, Card
from consumer.dashboard.context import DashboardContext
from consumer.dashboard.elements import Cards
from consumer.dashboard.fleet import AUTOMATIC, BY_HAND, OFF, Scaling
from consumer.dashboard.panels import Refresh, button, panel
from kafka.replicas.view import span

_GONE_FOR_S = 90.0
_MODES = {OFF: "off", BY_HAND: "by hand", AUTOMATIC: "automatic"}


def workers(context: DashboardContext) -> Refresh:
    """Builds the panel of the workers' cards."""
    with panel("Workers"):
        with ui.row().classes("w-full items-center justify-between"):
            summary = ui.label().classes("soft")
            button("Kill one at random", partial(_kill_random, context))
        error = ui.label().classes("error-text")
        cards = Cards()
        cards.on("act", lambda event: _act(context, event))

    def refresh() -> None:
        view = context.telemetry.view
        now_s = time.time()
        shown = [
            each
            for each in view.cards
            if each.instance.ended_s is None or now_s - each.instance.ended_s < _GONE_FOR_S
        ]
        cards.show(cards=[card_values(each, now_s) for each in shown])
        running = sum(each.state != GONE for each in shown)
        wanted = view.fleet.wanted
        summary.set_text(
            f"{running} on {context.backend.location}"
            + (f", {wanted} wanted" if wanted not in (None, running) else "")
        )
        error.set_text(view.error)
        error.set_visibility(bool(view.error))

    return refresh


async def _kill_random(context: DashboardContext) -> None:
    # On Kubernetes the backend asks the API server for the pods first, which may take seconds.
    context.console.run(await asyncio.to_thread(context.backend.kill_random))


def _act(context: DashboardContext, event: GenericEventArguments) -> None:
    act = {"stop": context.backend.stop, "kill": context.backend.kill}[event.args["what"]]
    context.console.run(act(str(event.args["name"])))


def card_values(card: Card, now_s: float) -> dict[str, Any]:
    """Returns a card as values for the browser.

    Args:
        card: the state of an instance.
        now_s: the current time, in seconds since 1970.
    """
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
            facts.append(f"{card.batch:,.1f} per batch")
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
        "stages": f"ms per batch: {stages}" if stages and ended_s is None else "",
    }


def _ranges(partitions: tuple[int, ...]) -> str:
    """Returns numbers as ranges, such as `0-3, 7` for 0, 1, 2, 3 and 7."""
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
    """The panel that shows and sets the desired number of workers.

    Args:
        context: the state and services that all pages share.
    """

    def __init__(self, context: DashboardContext) -> None:
        self._context = context
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
                self._summary = ui.label().classes("soft")

    def refresh(self) -> None:
        """Shows changes by other users; fields without such a change keep the user's input."""
        fleet = self._context.telemetry.view.fleet
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
        self._summary.set_text(self._describe_lag())

    def _offer(self, modes: tuple[str, ...], scaling: Scaling) -> None:
        """Shows only the modes and fields that the platform supports."""
        offered = {mode: _MODES[mode] for mode in modes}
        if offered != self._mode.options:
            self._mode.set_options(offered, value=scaling.mode)
        bounded = AUTOMATIC in modes
        self._minimum.set_visibility(bounded)
        self._maximum.set_visibility(bounded)
        self._count.set_visibility(BY_HAND in modes)
        self._lag.set_visibility(bounded and scaling.lag_per_worker > 0)

    def _describe_lag(self) -> str:
        scaling, lag = self._known, self._context.brokers.view.lag
        if scaling is None or lag is None:
            return ""
        if scaling.mode != AUTOMATIC or not scaling.lag_per_worker:
            return f"lag {lag:,}"
        needed = -(-lag // scaling.lag_per_worker)
        return f"lag {lag:,} / {scaling.lag_per_worker:,} needs {needed:,}"

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
            ui.notify("Enter whole numbers.", type="warning")
            return
        if scaling.minimum > scaling.maximum:
            ui.notify("The minimum is greater than the maximum.", type="warning")
            return
        self._context.console.run(self._context.backend.scale(scaling))


def scaling(context: DashboardContext) -> Refresh:
    """Builds the panel."""
    return ScalingPanel(context).refresh


def _number(label: str) -> Any:
    return ui.number(label, min=0, precision=0).props("dense outlined")
