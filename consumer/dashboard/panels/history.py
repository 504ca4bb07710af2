"""The panel with the chart of lag, workers and rate, with marks for changes of workers."""

from __future__ import annotations

from typing import Any

from consumer.dashboard.context import DashboardContext
from consumer.dashboard.panels import BLUE, GREEN, GREY, ORANGE, RED, Refresh, axis, chart, panel

_SHOWN_S = 300
_MARKED = {"ready": GREEN, "gone": RED}


def history(context: DashboardContext) -> Refresh:
    """Builds the panel."""
    with panel("Lag, workers and rate"):
        drawn = chart(
            "240px",
            xAxis={"type": "time", "axisLabel": {"color": GREY, "hideOverlap": True}},
            yAxis=[
                axis("messages"),
                axis("workers", minInterval=1, splitLine={"show": False}),
            ],
            series=[],
        )
    shown = -1

    def refresh() -> None:
        nonlocal shown
        view = context.telemetry.view
        if view.number == shown:
            return
        shown = view.number
        drawn.options["series"] = series(context)
        drawn.update()

    return refresh


def series(context: DashboardContext) -> list[dict[str, Any]]:
    """Returns the lines of the chart for the last five minutes, in the form of ECharts."""
    points = list(context.telemetry.points)[-_SHOWN_S:]
    begin_s = points[0].at_s if points else 0.0
    marks = [
        {
            "xAxis": 1000 * each.at_s,
            "name": f"{each.name} {each.what}",
            "lineStyle": {"color": _MARKED[each.what]},
        }
        for each in context.telemetry.view.fleet.events
        if each.what in _MARKED and each.at_s >= begin_s
    ]
    lag = _line("lag", BLUE, [[1000 * each.at_s, each.lag] for each in points])
    lag["markLine"] = {"silent": True, "symbol": "none", "label": {"show": False}, "data": marks}
    rate = _line("messages/s", GREEN, [[1000 * each.at_s, round(each.rate, 1)] for each in points])
    workers = _line("workers", ORANGE, [[1000 * each.at_s, each.workers] for each in points])
    return [lag, rate, {**workers, "yAxisIndex": 1, "step": "end"}]


def _line(name: str, color: str, data: list[list[Any]]) -> dict[str, Any]:
    return {
        "name": name,
        "type": "line",
        "showSymbol": False,
        "lineStyle": {"width": 2, "color": color},
        "itemStyle": {"color": color},
        "data": data,
    }
