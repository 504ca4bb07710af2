"""Starts and stops loads: runs of `python -m producer` at a constant rate."""

from __future__ import annotations

from dataclasses import dataclass

from consumer.dashboard.console import Console, Program
from producer.formats import FORMATS
from seldon_kafka.config.settings import Settings

MOST_RATE = 20_000
MOST_MESSAGES = 1_000_000
MOST_AT_ONCE = 4
"""Limit of loads that run at the same time. It leaves threads of the console for other commands."""


@dataclass(frozen=True)
class Load:
    """The messages that a load sends.

    Attributes:
        count: number of messages.
        rate: number of messages per second.
        wire_format: one of `producer.formats.FORMATS`.
        bad: share of messages that can't be answered, from 0 to 1.
    """

    count: int
    rate: float
    wire_format: str
    bad: float

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
            ValueError: a value is out of range; the text has the range.
        """
        if not 1 <= self.count <= MOST_MESSAGES:
            raise ValueError(f"a load must have 1 to {MOST_MESSAGES:,} messages")
        if not 0 < self.rate <= MOST_RATE:
            raise ValueError(f"the rate must be above 0 and at most {MOST_RATE:,} messages/s")
        if self.wire_format not in FORMATS:
            raise ValueError(f"no format is named {self.wire_format}")
        if not 0 <= self.bad <= 1:
            raise ValueError("the share of bad messages must be from 0 to 100 %")


class Loads:
    """Starts and stops loads.

    Args:
        console: runs the loads as commands.
        settings: names the brokers.
    """

    def __init__(self, console: Console, settings: Settings) -> None:
        self._console = console
        self._environment = {"KAFKA_BROKER": settings.broker}
        self._programs: list[Program] = []

    @property
    def running(self) -> int:
        """Number of loads that run, or wait for a thread of the console."""
        self._programs = [each for each in self._programs if not each.has_ended]
        return len(self._programs)

    def start(self, load: Load) -> None:
        """Starts a load.

        Raises:
            ValueError: too many loads are running.
        """
        if self.running >= MOST_AT_ONCE:
            raise ValueError(f"{MOST_AT_ONCE} loads are running; stop them, or wait until one ends")
        words = [
            "producer",
            "--samples",
            "--loop",
            "--count",
            str(load.count),
            "--rate",
            f"{load.rate:g}",
        ]
        words += ["--format", load.wire_format, "--key", "{n}"]
        if load.bad:
            words += ["--bad", f"{load.bad:g}"]
        program = Program(words, self._environment)
        self._programs.append(program)
        self._console.run(program.action)

    def stop(self) -> None:
        """Sends SIGINT to all loads."""
        for program in self._programs:
            program.interrupt()

    def close(self) -> None:
        """Sends SIGINT to all loads, waits for their end, and kills those that still run."""
        self.stop()
        for program in self._programs:
            program.end()
