"""Everything behind the pages, once for all of them."""

from __future__ import annotations

from consumer.dashboard.brokers import BrokerWatch
from consumer.dashboard.console import Console
from consumer.dashboard.corrections import Corrections
from consumer.dashboard.feed import Feed
from consumer.dashboard.fleet import Backend
from consumer.dashboard.inputs import Inputs
from consumer.dashboard.letters import LetterBox
from consumer.dashboard.loads import Loads
from consumer.dashboard.results import ResultLog
from consumer.dashboard.sending import Sender
from consumer.dashboard.telemetry import Telemetry
from seldon_kafka.config.settings import Settings

EXPLAINED = ("wrapper.KmnistClassifier",)
"""Classes that `python -m wrapper.explain` explains."""


class Board:
    """What all pages look at, and what they act through.

    Attributes:
        settings: Topics, group and brokers.
        backend: Where the workers are.
        results: What has come.
        letters: Dead letters.
        feed: Reads both.
        brokers: Looks at Kafka.
        telemetry: Looks at the workers.
        console: Runs commands, and remembers them.
        inputs: Fetches messages.
        sender: Sends pictures.
        loads: Starts loads.
        corrections: What people say that images show.
    """

    def __init__(self, settings: Settings, backend: Backend) -> None:
        """Put everything together; nothing runs yet.

        Args:
            settings: Topics, group and brokers.
            backend: Where the workers are.
        """
        self.settings = settings
        self.backend = backend
        self.results = ResultLog()
        self.letters = LetterBox()
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
        """Whether the model that is served says why it answers as it does."""
        return any(card.class_name in EXPLAINED for card in self.telemetry.view.cards)

    @property
    def topics(self) -> tuple[str, str]:
        """Those that hold pictures: the input, and what could not be answered."""
        return self.settings.input_topic, self.settings.dead_letter_topic

    def start(self) -> None:
        """Start all threads."""
        self.feed.start()
        self.brokers.start()
        self.telemetry.start()
        self.sender.start()
        self.corrections.start()

    def close(self) -> None:
        """End all threads, and loads that were started here."""
        # What waits for its turn there must not begin now.
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
