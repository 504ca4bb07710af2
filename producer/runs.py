"""What producer and consumer agree on about a run: one pass over all objects of a place."""

from __future__ import annotations

import argparse
import re

RUN = "run"
"""Header of a message, and so of its reply: the run's name."""

OBJECT = "object"
"""Header: the object's name, below the place that the run is of."""

UNREADABLE = "object-unreadable"
"""Header of a message without a value: why the object is no picture that can be sent."""


def run_name(text: str) -> str:
    """A run's name, as an argument of a command: it becomes part of a group's and of a folder's.

    Raises:
        argparse.ArgumentTypeError: It can't be.
    """
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", text) is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no run's name: letters, digits, '.', '_' and '-', at most 100"
        )
    return text


def group_of(run: str) -> str:
    """The consumer group that collects a run's answers."""
    return f"run-{run}"
