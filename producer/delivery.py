"""Sending with a progress bar, and saying how it went."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

from confluent_kafka import Producer
from rich.progress import Progress

from producer.messages import Message
from producer.send import Tally, check_topic, send
from seldon_kafka.config.clients import producer_config
from seldon_kafka.config.settings import Settings
from seldon_kafka.progress_bar import counting

_LINGER_MS = 5


def deliver(
    options: argparse.Namespace,
    settings: Settings,
    what: str,
    every: Iterator[Message],
    expected: int | None,
    **properties: int,
) -> Tally:
    """Send messages to the input topic, and print a summary.

    Args:
        options: `format`, `rate` and `timeout` of the command line.
        settings: Whose brokers and topic.
        what: The messages' images, for the user.
        every: The messages.
        expected: How many there will be, if that is known.
        properties: librdkafka properties, with `_` for `.`, that the client needs.

    Raises:
        producer.send.SendError: The topic can't be written to.
    """
    config = producer_config(
        settings,
        message_timeout_ms=int(options.timeout * 1000),
        # Messages that follow each other that closely share a request.
        linger_ms=_LINGER_MS if options.rate is None or options.rate > 1000 / _LINGER_MS else 0,
        **properties,
    )
    producer = Producer(config)
    topic = settings.input_topic
    check_topic(producer, topic, config)
    sys.stderr.write(f"sending {what} to {topic} as {options.format}\n")
    with counting() as progress:
        tally = send(producer, topic, every, options.rate, _Bar(progress, expected))
    _summarise(tally)
    return tally


class _Bar:
    """A progress bar that shows how many messages are acknowledged."""

    def __init__(self, progress: Progress, expected: int | None) -> None:
        self._progress = progress
        self._task = progress.add_task("acknowledged", total=expected)

    def __call__(self, tally: Tally) -> None:
        self._progress.update(self._task, completed=tally.acknowledged)


def _summarise(tally: Tally) -> None:
    rate = tally.acknowledged / tally.seconds if tally.seconds else 0.0
    megabytes = tally.acknowledged_bytes / 1e6
    sys.stderr.write(
        f"{tally.sent} messages with {tally.images} images sent, {tally.acknowledged} "
        f"acknowledged, {tally.failed} failed, in {tally.seconds:.1f} s "
        f"({rate:.0f} messages/s, {megabytes:.1f} MB)\n"
    )
    for reason, number in tally.reasons.items():
        sys.stderr.write(f"  {number} failed: {reason}\n")
