"""Types of command-line arguments."""

from __future__ import annotations

import argparse


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
