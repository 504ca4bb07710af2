"""Types of command-line arguments, and parsers of actions with examples."""

from __future__ import annotations

import argparse
import datetime
import re
from typing import Any


def add_action(actions: Any, name: str, examples: str, **options: Any) -> Any:
    """Adds the parser of an action, for example `list` of `seldon-kafka dead-letters`.

    Args:
        actions: the result of `add_subparsers`.
        name: name of the action.
        examples: epilog of the subcommand. Its lines with this action become the epilog of the
            action.
        options: options of `add_parser`.

    Returns:
        The parser of the action.
    """
    lines = [
        line for line in examples.splitlines() if f" {name}" in line and "seldon-kafka" in line
    ]
    return actions.add_parser(
        name,
        epilog="\n".join(["examples:", *lines]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        **options,
    )


def positive_integer(text: str) -> int:
    """Parses a whole number of at least 1.

    Raises:
        argparse.ArgumentTypeError: the number is less than 1.
        ValueError: the text is not a whole number.
    """
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number


def positive_number(text: str) -> float:
    """Parses a number above zero.

    Raises:
        argparse.ArgumentTypeError: the number is not above zero.
        ValueError: the text is not a number.
    """
    number = float(text)
    if not number > 0:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number


def parse_iso(text: str) -> datetime.datetime:
    """Parses an ISO date or time; the result has a zone only if the text has one.

    Raises:
        ValueError: the text is not a date or time.
    """
    # `fromisoformat` accepts `Z` only from Python 3.11 on.
    return datetime.datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", text.strip()))
