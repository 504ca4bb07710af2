"""The panels that send files, drawings and samples, and that start loads."""

from __future__ import annotations

from typing import Any

from nicegui import ui
from nicegui.events import GenericEventArguments

from consumer.dashboard.context import DashboardContext
from consumer.dashboard.elements import SendBox
from consumer.dashboard.loads import Load
from consumer.dashboard.panels import Refresh, button, panel
from consumer.dashboard.uploads import RefusedFile, shortened
from consumer.labels import HIRAGANA
from producer.bundled_samples import Samples
from producer.formats import FORMATS

MOST_FILES = 1000


def send(context: DashboardContext, samples: Samples) -> Refresh:
    """Builds the panels."""
    names = list(HIRAGANA)
    with panel("Send"):
        box = SendBox()
        box.show(
            samples=[
                {"name": name, "label": names[int(label)], "url": f"/sample/{at}.png"}
                for at, (name, label) in enumerate(zip(samples.names, samples.labels, strict=True))
            ],
            format="png",
            mostFiles=MOST_FILES,
        )
        box.on("failed", lambda event: _failed(context, event))
        ui.select(
            list(FORMATS),
            value="png",
            label="wire format",
            on_change=lambda event: box.show(format=event.value),
        ).props("dense outlined options-dense").classes("w-full")
    with panel("Load"):
        return _load(context)


def _failed(context: DashboardContext, event: GenericEventArguments) -> None:
    name, why = str(event.args.get("name", "")), str(event.args.get("why", ""))
    context.sender.refuse(RefusedFile(shortened(name), shortened(why)))


def _load(context: DashboardContext) -> Refresh:
    with ui.grid(columns=2).classes("w-full gap-2"):
        rate = _number("messages/s", 100)
        count = _number("messages", 2000)
        bad = _number("bad, %", 0)
        wire_format = (
            ui.select(list(FORMATS), value="ndarray", label="format")
            .props("dense outlined options-dense")
            .classes("load-format")
        )

    def start() -> None:
        try:
            context.loads.start(
                Load(
                    int(count.value or 0),
                    float(rate.value or 0),
                    wire_format.value,
                    (bad.value or 0) / 100,
                )
            )
        except ValueError as error:
            ui.notify(str(error), type="warning")

    with ui.row().classes("items-center gap-2"):
        button("Start load", start, primary=True)
        stop = button("Stop", context.loads.stop)
        summary = ui.label().classes("soft")

    def refresh() -> None:
        running = context.loads.running
        stop.set_enabled(running > 0)
        summary.set_text(f"{running} running" if running else "")

    return refresh


def _number(label: str, value: float) -> Any:
    return ui.number(label, value=value, min=0).props("dense outlined")
