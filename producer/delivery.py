"""Sends messages with a progress bar, and prints a summary."""

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
    description: str,
    messages: Iterator[Message],
    expected: int | None,
    **properties: int,
) -> Tally:
    """Sends messages to the input topic, and prints a summary.

    Args:
        options: `format`, `rate` and `timeout` of the command line.
        settings: brokers and topic.
        description: description of the images for the user.
        messages: the messages to send.
        expected: number of messages, or None if it is not known.
        properties: further librdkafka properties of the producer, with `_` for `.`.

    Returns:
        The counts that the summary shows.

    Raises:
        producer.send.SendError: the topic cannot be written.
    """
    config = producer_config(
        settings,
        message_timeout_ms=int(options.timeout * 1000),
        # With more than 200 messages/s, messages of 5 ms share a request. With fewer, lingering
        # would only delay each message.
        linger_ms=_LINGER_MS if options.rate is None or options.rate > 1000 / _LINGER_MS else 0,
        **properties,
    )
    producer = Producer(config)
    topic = settings.input_topic
    check_topic(producer, topic, config)
    sys.stderr.write(f"sending {description} to {topic} as {options.format}\n")
    with counting() as progress:
        tally = send(producer, topic, messages, options.rate, _Bar(progress, expected))
    _summarise(tally)
    return tally


class _Bar:
    """Shows the number of acknowledged messages in a progress bar."""

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
