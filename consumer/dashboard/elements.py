"""The page's own elements: their looks are in `static/`, and text goes into them as text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nicegui.element import Element

STATIC = Path(__file__).resolve().parent / "static"


class _Shows(Element):
    """An element that shows values which the server hands it, if they are others than before."""

    def show(self, **values: Any) -> None:
        """Shows these values."""
        changed = {name: value for name, value in values.items() if self.props.get(name) != value}
        if changed:
            self.props.update(changed)
            self.update()


class Live(Element, component=STATIC / "live.js"):
    """A line of text that changes several times a second.

    An update of a `ui.label` makes the browser go through all elements of the page.
    """

    def __init__(self) -> None:
        """Make it, empty."""
        super().__init__()
        self._text = ""

    def say(self, text: str) -> None:
        """Show this text."""
        if text != self._text:
            self._text = text
            self.run_method("show", text)


class ResultList(_Shows, component=STATIC / "results.js"):
    """Results, of which only those in sight are in the browser."""

    def __init__(self, empty: str) -> None:
        """Make it; `empty` stands there while there are no results."""
        super().__init__()
        self.show(empty=empty)


class SendBox(_Shows, component=STATIC / "send.js"):
    """Files, drawings and samples on their way."""


class Cards(_Shows, component=STATIC / "cards.js"):
    """A card for each worker."""


class Table(_Shows, component=STATIC / "table.js"):
    """A table; each row has a `key` and `cells`."""

    def __init__(self, *columns: str) -> None:
        """Make it, empty, with these heads."""
        super().__init__()
        self.show(columns=list(columns), rows=[])


class ConsoleLog(_Shows, component=STATIC / "console.js"):
    """Commands and their output."""
