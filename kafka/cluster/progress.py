"""The interface through which long steps report their progress."""

from __future__ import annotations


class Progress:
    """Shows nothing; subclasses override the methods to show progress."""

    def begin(self, step: str, total: int | None = None) -> None:
        """Begins a step.

        Args:
            step: description of the step, as a line for the user.
            total: number of parts of the step; None if unknown.
        """

    def advance(self, parts: int = 1) -> None:
        """Adds to the completed parts of the step."""

    def message(self, text: str) -> None:
        """Shows a message to the user."""
