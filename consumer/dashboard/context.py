"""Holds the state and the services that all pages share."""

from __future__ import annotations

from consumer.dashboard.brokers import BrokerWatch
from consumer.dashboard.console import Console
from consumer.dashboard.corrections import Corrections
from consumer.dashboard.feed import Feed
from consumer.dashboard.fleet import Backend
from consumer.dashboard.inputs import Inputs
from consumer.dashboard.letters import DeadLetterLog
from consumer.dashboard.loads import Loads
from consumer.dashboard.results import ResultLog
from consumer.dashboard.sending import Sender
from consumer.dashboard.telemetry import Telemetry
from seldon_kafka.config.settings import Settings

EXPLAINED = ("wrapper.KmnistClassifier",)
"""The user models whose predictions `python -m wrapper.explain` explains."""


class DashboardContext:
    """The state and the services that all pages share.

    Args:
        settings: topics, group and brokers.
        backend: the platform of the workers.

    Attributes:
        settings: topics, group and brokers.
        backend: the platform of the workers.
        results: the latest results.
        letters: the latest dead letters.
        feed: reads results and dead letters.
        brokers: watches the brokers.
        telemetry: watches the workers.
        console: runs commands and keeps their output.
        inputs: fetches messages and their images.
        sender: sends images.
        loads: starts loads.
        corrections: writes and reads corrected labels.
    """

    def __init__(self, settings: Settings, backend: Backend) -> None:
        self.settings = settings
        self.backend = backend
        self.results = ResultLog()
        self.letters = DeadLetterLog()
        self.feed = Feed(settings, self.results, self.letters)
        self.brokers = BrokerWatch(settings)
        self.telemetry = Telemetry(backend, lambda: self.brokers.view.lag)
        self.console = Console()
        self.inputs = Inputs(settings)
        self.sender = Sender(settings, self.results, self.inputs)
        self.loads = Loads(self.console, settings)
        self.corrections = Corrections(settings, self.results)

    @property
    def explains(self) -> bool:
        """Whether the predictions of the running user model can be explained."""
        return any(card.class_name in EXPLAINED for card in self.telemetry.view.cards)

    @property
    def topics(self) -> tuple[str, str]:
        """The topics whose messages have images: the input topic and the dead-letter topic."""
        return self.settings.input_topic, self.settings.dead_letter_topic

    def start(self) -> None:
        """Starts all threads."""
        self.feed.start()
        self.brokers.start()
        self.telemetry.start()
        self.sender.start()
        self.corrections.start()

    def close(self) -> None:
        """Stops all loads and threads, and closes the backend."""
        # The console is closed first, so that it starts no command that still waits.
        self.console.close()
        self.loads.close()
        for part in (
            self.corrections,
            self.sender,
            self.telemetry,
            self.brokers,
            self.feed,
            self.inputs,
            self.backend,
        ):
            part.close()
