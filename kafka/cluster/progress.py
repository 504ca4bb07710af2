"""How long work tells what it does; the command line draws it, tests stay silent."""

from __future__ import annotations


class Progress:
    """Progress that nobody watches; a view overrides what it shows."""

    def begin(self, step: str, total: int | None = None) -> None:
        """A step begins.

        Args:
            step: What is done now, as a line for the user.
            total: Of how many parts, where that is known.
        """

    def advance(self, parts: int = 1) -> None:
        """So many more parts of the step are done."""

    def say(self, message: str) -> None:
        """Something that the user should know."""
