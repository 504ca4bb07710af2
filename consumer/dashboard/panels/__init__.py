"""The panels of the page, which are built once for each browser and then refreshed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from nicegui import ui

Refresh = Callable[[], None]
"""A function that updates a panel if its content has changed; called several times a second."""

# These colours are readable on a light and on a dark background.
FONT = 'Roboto, "Dashboard Kana", sans-serif'
GREY, BLUE, GREEN, ORANGE, RED = "#8a94a0", "#4a90e2", "#3fae5a", "#d98e04", "#e5534b"


@contextmanager
def panel(title: str) -> Iterator[None]:
    """Adds a frame with a heading to the page; elements made in the context are inside."""
    with ui.card().classes("panel").props(f'role=region aria-label="{title}"'):
        ui.label(title).classes("panel-title").props("role=heading aria-level=2")
        yield


def button(text: str, on_click: Callable[..., Any], *, primary: bool = False) -> ui.button:
    """Adds a button in the style of the page."""
    made = ui.button(text, on_click=on_click).props("no-caps dense unelevated")
    return made.props("color=primary" if primary else "outline color=primary")


def axis(name: str, **more: Any) -> dict[str, Any]:
    """Returns a value axis of a chart, which starts at 0.

    Args:
        name: name of the axis.
        more: options of ECharts, which override those of this function.
    """
    return {
        "type": "value",
        "name": name,
        "min": 0,
        "nameTextStyle": {"color": GREY},
        "axisLabel": {"color": GREY},
        "splitLine": {"lineStyle": {"color": GREY, "opacity": 0.2}},
        **more,
    }


def categories(names: list[str], **more: Any) -> dict[str, Any]:
    """Returns a category axis of a chart.

    Args:
        names: names of the categories.
        more: options of ECharts for the labels of the axis.
    """
    return {"type": "category", "data": names, "axisLabel": {"color": GREY, **more}}


def chart(height: str, **options: Any) -> ui.echart:
    """Adds a chart, in which texts are never interpreted as HTML.

    Args:
        height: height of the chart, in CSS.
        options: options of ECharts, which override those of this function.
    """
    common = {
        "animation": False,
        "textStyle": {"color": GREY, "fontFamily": FONT},
        "legend": {"textStyle": {"color": GREY}, "top": 0},
        "tooltip": {"trigger": "axis", "renderMode": "richText"},
        "grid": {"left": 48, "right": 48, "top": 36, "bottom": 24},
    }
    return ui.echart({**common, **options}).classes("w-full").style(f"height: {height}")
