"""Types of command-line arguments."""

from __future__ import annotations

import argparse
from typing import Any


def add_action(actions: Any, name: str, examples: str, **options: Any) -> Any:
    """Adds the parser of a subcommand's action, with those examples that are of it.

    Args:
        actions: what `add_subparsers` returned.
        name: of the action.
        examples: the subcommand's epilog.
        options: for `add_parser`.
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
    """A whole number of one or more.

    Raises:
        argparse.ArgumentTypeError: it is less.
        ValueError: it is none.
    """
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number


def positive_number(text: str) -> float:
    """A number above zero.

    Raises:
        argparse.ArgumentTypeError: it is not.
        ValueError: it is none.
    """
    number = float(text)
    if not number > 0:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number
