"""Updates the output of `python -m bench.capacity` in docs/capacity.md."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from bench.capacity import command_output

FILE = "capacity.md"

# A command in a code block, and the lines of its output.
_SHOWN = re.compile(
    r"^(?P<command>\$ python -m bench\.capacity (?P<arguments>.+)\n)(?:(?!```).+\n)*", re.MULTILINE
)


def refresh(page: Path, results: Path) -> None:
    """Replaces the output of each command in the page.

    Args:
        page: path of the page.
        results: path of the benchmark's figures.

    Raises:
        MissingFigures: the page needs figures that were not measured, and stays as it is.
    """
    page.write_text(refreshed(page.read_text(encoding="utf-8"), results), encoding="utf-8")


def refreshed(text: str, results: Path) -> str:
    """Returns the text of the page with the current output of each command.

    Raises:
        MissingFigures: a command needs figures that were not measured.
    """

    def updated(shown: re.Match[str]) -> str:
        arguments = shlex.split(shown["arguments"])
        output = command_output([*arguments, "--results", str(results)])
        return shown["command"] + output + "\n"

    return _SHOWN.sub(updated, text)
