"""The panels that show accuracy, confusion and drift of the labels."""

from __future__ import annotations

from collections import Counter
from typing import Any

from nicegui import ui

from consumer.dashboard.context import DashboardContext
from consumer.dashboard.panels import BLUE, GREY, Refresh, axis, categories, chart, panel
from consumer.dashboard.quality import Quality, quality_of
from consumer.labels import HIRAGANA

_EVERY = 4  # only each fourth refresh updates the panels: an update reads all kept results


def quality(context: DashboardContext) -> Refresh:
    """Builds the panels."""
    names = [f"{kana} {name}" for name, kana in HIRAGANA.items()]
    across = categories(names, rotate=45)
    with panel("Right or wrong"):
        summary = ui.label()
        ui.label(
            "The truth comes from senders' `truth` headers and from corrections. "
            "Open a result to correct its label. "
            "python -m consumer.feedback --out corrections.npz writes the corrections for "
            "python -m model.train --feedback."
        ).classes("soft")
    with ui.element("div").classes("halves"):
        with panel("Accuracy of the latest 200 images"):
            running = chart(
                "260px",
                xAxis=axis("images", splitLine={"show": False}),
                yAxis=axis("%", min=None, max=100, scale=True),
                series=[],
            )
        with panel("Truth (rows) and label (columns)"):
            matrix = chart(
                "340px",
                tooltip={"renderMode": "richText"},
                grid={"left": 64, "right": 16, "top": 8, "bottom": 64},
                xAxis=across,
                yAxis={**categories(names), "inverse": True},
                visualMap={
                    "min": 0,
                    "max": 1,
                    "show": False,
                    "inRange": {"color": [f"{BLUE}22", BLUE]},
                },
                series=[],
            )
        with panel("Drift: labels before and now"):
            drift = chart(
                "260px",
                xAxis=across,
                yAxis=axis("%"),
                series=[],
            )
    turn, shown = 0, (-1, -1)

    def refresh() -> None:
        nonlocal turn, shown
        turn += 1
        state = (context.results.newest, context.results.corrections)
        if state == shown or turn % _EVERY != 1:
            return
        shown = state
        found = quality_of(context.results)
        summary.set_text(_describe(found))
        running.options["series"] = [
            {"type": "line", "showSymbol": False, "data": found.running, "color": BLUE}
        ]
        matrix.options["series"] = [_heat(found.confusion)]
        matrix.options["visualMap"]["max"] = max([1, *found.confusion.values()])
        drift.options["series"] = [
            {"type": "bar", "name": name, "itemStyle": {"color": color}, "data": _percents(shares)}
            for name, color, shares in (
                ("before", GREY, found.before),
                ("now", BLUE, found.recent),
            )
        ]
        for each in (running, matrix, drift):
            each.update()

    return refresh


def _describe(found: Quality) -> str:
    if not found.known:
        return "No kept image has a known truth."
    share = 100 * found.right / found.known
    return (
        f"{found.right:,} of {found.known:,} images right ({share:.2f} %), "
        f"{found.corrected:,} corrected by hand"
    )


def _percents(shares: dict[str, float]) -> list[float]:
    return [round(100 * shares.get(name, 0.0), 2) for name in HIRAGANA]


def _heat(confusion: Counter[tuple[str, str]]) -> dict[str, Any]:
    at = {name: number for number, name in enumerate(HIRAGANA)}
    data = [
        [at[answer], at[truth], count]
        for (truth, answer), count in confusion.items()
        if truth in at and answer in at
    ]
    return {"type": "heatmap", "data": data, "label": {"show": True, "color": "#10161d"}}
