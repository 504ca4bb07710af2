"""Loads that a person starts on the page: `python -m producer`, at a rate."""

from __future__ import annotations

from dataclasses import dataclass

from consumer.dashboard.console import Console, Program
from producer.formats import FORMATS
from seldon_kafka.config.settings import Settings

MOST_RATE = 20_000
MOST_MESSAGES = 1_000_000
MOST_AT_ONCE = 4
"""Loads that may run together: other commands of the page need their turns as well."""


@dataclass(frozen=True)
class Load:
    """What is to be sent.

    Attributes:
        count: Messages.
        rate: Messages a second.
        wire_format: One of `producer.formats.FORMATS`.
        bad: The share that can't be answered, from 0 to 1.
    """

    count: int
    rate: float
    wire_format: str
    bad: float

    def __post_init__(self) -> None:
        """Refuse what can't be.

        Raises:
            ValueError: It can't; the message says why.
        """
        if not 1 <= self.count <= MOST_MESSAGES:
            raise ValueError(f"1 to {MOST_MESSAGES:,} messages")
        if not 0 < self.rate <= MOST_RATE:
            raise ValueError(f"up to {MOST_RATE:,} messages a second")
        if self.wire_format not in FORMATS:
            raise ValueError(f"no format is named {self.wire_format}")
        if not 0 <= self.bad <= 1:
            raise ValueError("a share is from 0 to 100 %")


class Loads:
    """The loads that run, or ran."""

    def __init__(self, console: Console, settings: Settings) -> None:
        """Start none yet.

        Args:
            console: Where they run.
            settings: Names the brokers.
        """
        self._console = console
        self._environment = {"KAFKA_BROKER": settings.broker}
        self._programs: list[Program] = []

    @property
    def running(self) -> int:
        """How many run."""
        self._programs = [each for each in self._programs if not each.over]
        return len(self._programs)

    def start(self, load: Load) -> None:
        """Start one.

        Raises:
            ValueError: Enough run already; the message says so.
        """
        if self.running >= MOST_AT_ONCE:
            raise ValueError(f"{MOST_AT_ONCE} loads run already; stop them, or wait for one's end")
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
        """Ctrl-C for all of them."""
        for program in self._programs:
            program.interrupt()

    def close(self) -> None:
        """End all of them."""
        self.stop()
        for program in self._programs:
            program.end()
