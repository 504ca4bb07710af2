"""How right the answers are, where that is known: by their senders, and by corrections."""

from __future__ import annotations

from collections import Counter
from typing import Any

from nicegui import ui

from consumer.dashboard.board import Board
from consumer.dashboard.panels import BLUE, GREY, Refresh, axis, categories, chart, panel
from consumer.dashboard.quality import Quality, judge
from consumer.labels import HIRAGANA

_EVERY = 4  # refreshes, since all that is kept is looked through


def quality(board: Board) -> Refresh:
    """Build the panels."""
    names = [f"{kana} {name}" for name, kana in HIRAGANA.items()]
    across = categories(names, rotate=45)
    with panel("Right or wrong"):
        says = ui.label()
        ui.label(
            "Truth comes from senders' `truth` headers, and from corrections: open a result to "
            "make one. python -m consumer.feedback --out corrections.npz writes them out for "
            "python -m model.train --feedback."
        ).classes("soft")
    with ui.element("div").classes("halves"):
        with panel("Accuracy, of the latest 200 each time"):
            running = chart(
                "260px",
                xAxis=axis("images", splitLine={"show": False}),
                yAxis=axis("%", min=None, max=100, scale=True),
                series=[],
            )
        with panel("Truth (down) and answer (across)"):
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
        with panel("Drift: answers, lately and before"):
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
        state = (board.results.newest, board.results.corrections)
        if state == shown or turn % _EVERY != 1:
            return
        shown = state
        found = judge(board.results)
        says.set_text(_in_words(found))
        running.options["series"] = [
            {"type": "line", "showSymbol": False, "data": found.running, "color": BLUE}
        ]
        matrix.options["series"] = [_heat(found.confusion)]
        matrix.options["visualMap"]["max"] = max([1, *found.confusion.values()])
        drift.options["series"] = [
            {"type": "bar", "name": name, "itemStyle": {"color": color}, "data": _percents(shares)}
            for name, color, shares in (
                ("before", GREY, found.before),
                ("lately", BLUE, found.lately),
            )
        ]
        for each in (running, matrix, drift):
            each.update()

    return refresh


def _in_words(found: Quality) -> str:
    if not found.known:
        return "Of no image that is kept it is known what it shows."
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
