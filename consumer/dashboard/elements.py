"""Elements of the page with templates in `static/`; texts are never interpreted as HTML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nicegui.element import Element

STATIC = Path(__file__).resolve().parent / "static"


class _ValueElement(Element):
    """An element that shows values from the server."""

    def show(self, **values: Any) -> None:
        """Sets values by name, and updates the browser if any value has changed."""
        changed = {name: value for name, value in values.items() if self.props.get(name) != value}
        if changed:
            self.props.update(changed)
            self.update()


class Live(Element, component=STATIC / "live.js"):
    """A line of text that changes several times a second.

    An update of a `ui.label` would make the browser process all elements of the page.
    """

    def __init__(self) -> None:
        super().__init__()
        self._text = ""

    def set_text(self, text: str) -> None:
        """Shows a text instead of the previous text."""
        if text != self._text:
            self._text = text
            self.run_method("show", text)


class ResultList(_ValueElement, component=STATIC / "results.js"):
    """A list of results; the browser has only the visible results.

    Args:
        empty: text that is shown while there are no results.
    """

    def __init__(self, empty: str) -> None:
        super().__init__()
        self.show(empty=empty)


class SendBox(_ValueElement, component=STATIC / "send.js"):
    """A form that sends files, drawings and samples."""


class Cards(_ValueElement, component=STATIC / "cards.js"):
    """The cards of the workers."""


class Table(_ValueElement, component=STATIC / "table.js"):
    """A table; each row has a `key` and `cells`.

    Args:
        columns: headings of the columns.
    """

    def __init__(self, *columns: str) -> None:
        super().__init__()
        self.show(columns=list(columns), rows=[])


class ConsoleLog(_ValueElement, component=STATIC / "console.js"):
    """The commands with their output."""
