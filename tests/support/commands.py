"""Subcommands of `seldon-kafka`, run in the test's own process."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from seldon_kafka.cli import main


def _subcommand(name: str) -> Callable[[Sequence[str]], int]:
    return lambda arguments: main([name, *arguments])


acls = _subcommand("acls")
check = _subcommand("check")
dead_letters = _subcommand("dead-letters")
feedback = _subcommand("feedback")
request_log = _subcommand("request-log")
topics = _subcommand("topics")
