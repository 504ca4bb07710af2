"""What librdkafka says in its log and nowhere else: that a connection in use was closed."""

from __future__ import annotations

import logging
import re
from typing import Any, Callable

# As librdkafka says it: "… Disconnected (after 1234ms in state UP)".
_CONNECTION_STATE = re.compile(r"in state (\w+)")


class ListeningLogger:
    """A logger for librdkafka, all of whose lines are told to somebody else as well."""

    def __init__(self, logger: logging.Logger, told: Callable[[str], None]) -> None:
        self._logger = logger
        self._told = told

    def log(self, level: int, text: str, *args: Any) -> None:
        """Takes a line."""
        self._told(text % args if args else text)
        self._logger.log(level, text, *args)


def tells_of_a_broken_connection(text: str) -> bool:
    """Whether a line says that a connection broke on which requests may have been under way.

    Where no connection was, no request is under way: a broker that stays away is harmless.
    """
    state = _CONNECTION_STATE.search(text)
    return state is not None and state.group(1) == "UP"
