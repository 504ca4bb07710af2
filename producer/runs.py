"""Names and headers of a run, which is one pass over all objects of a storage location.

The producer and the consumer share this module.
"""

from __future__ import annotations

import argparse
import re

RUN = "run"
"""Header of a message, and so of its reply: the name of the run."""

OBJECT = "object"
"""Header: the object's name, below the storage location of the run."""

UNREADABLE = "object-unreadable"
"""Header of a message with an empty value: the reason why the object is no picture."""


def run_name(text: str) -> str:
    """Returns a run's name from the command line, checked for use in group and folder names.

    Raises:
        argparse.ArgumentTypeError: the name is not valid.
    """
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", text) is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no valid run name: use up to 100 letters, digits, '.', '_' and '-'"
        )
    return text


def group_of(run: str) -> str:
    """Returns the consumer group that collects a run's answers."""
    return f"run-{run}"
