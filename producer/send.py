"""Sends messages, and counts those that the brokers acknowledge."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from producer.messages import Message
from seldon_kafka.config.refusal import explained
from seldon_kafka.config.rights import TOPIC, WRITE, Right, RightMissing

_FLUSH_STEP_S = 0.1
_SHORTEST_POLL_S = 0.001  # the client's time limits are whole milliseconds


class SendError(Exception):
    """No message can be sent; the message of the error says why."""


@dataclass
class Tally:
    """Counts of the messages so far.

    Attributes:
        sent: messages that were passed to the client.
        acknowledged: messages that the brokers acknowledged.
        failed: messages that the client could not deliver.
        images: images in the sent messages.
        acknowledged_bytes: size of the acknowledged values in bytes.
        seconds: duration of the sending in seconds; 0 while a message is still under way.
        reasons: number of failed messages, by the client's description of the error.
        interrupted: whether Ctrl-C ended the sending.
    """

    sent: int = 0
    acknowledged: int = 0
    failed: int = 0
    images: int = 0
    acknowledged_bytes: int = 0
    seconds: float = 0.0
    reasons: dict[str, int] = field(default_factory=dict)
    interrupted: bool = False

    @property
    def complete(self) -> bool:
        """Whether all messages were sent and acknowledged."""
        return not self.interrupted and self.acknowledged == self.sent


def check_topic(producer: Producer, topic: str, config: Mapping[str, Any]) -> None:
    """Checks before the first message that the topic exists.

    Args:
        producer: the client.
        topic: topic to check.
        config: the client's properties, to explain why brokers refuse the client.

    Raises:
        SendError: the brokers do not answer or refuse the client, or the topic does not exist or
            may not be written.
    """
    try:
        found = producer.list_topics(topic, timeout=10).topics[topic]
    except KafkaException as error:
        why = explained(error, config).args[0].str()
        raise SendError(f"topic {topic} cannot be looked up: {why}") from error
    if found.error is not None:
        if found.error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            raise SendError(str(RightMissing([Right(TOPIC, topic, WRITE, "")], "producer")))
        raise SendError(
            f"topic {topic}: {found.error.str()}; create it with `seldon-kafka topics create`"
        )


def send(
    producer: Producer,
    topic: str,
    messages: Iterable[Message],
    rate: float | None = None,
    on_progress: Callable[[Tally], None] = lambda tally: None,
) -> Tally:
    """Sends messages, and waits until each is acknowledged or has failed.

    After Ctrl-C no further message is sent, and the function waits for messages under way. A second
    Ctrl-C ends the wait with `KeyboardInterrupt`.

    Args:
        producer: the client; its `message.timeout.ms` limits the wait.
        topic: topic to write to.
        messages: messages to send.
        rate: messages per second; None sends as fast as the brokers accept messages.
        on_progress: called at intervals with the counts so far.
    """
    tally = Tally()
    began = time.monotonic()

    def delivered(error: KafkaError | None, message: Any) -> None:
        if error is None:
            tally.acknowledged += 1
            tally.acknowledged_bytes += len(message.value() or b"")
        else:
            tally.failed += 1
            tally.reasons[error.str()] = tally.reasons.get(error.str(), 0) + 1

    try:
        for message in messages:
            _wait_until_due(producer, began, tally, rate, on_progress)
            _produce(producer, topic, message, delivered)
            tally.sent += 1
            tally.images += message.images
    except KeyboardInterrupt:
        tally.interrupted = True
    while producer.flush(_FLUSH_STEP_S):
        on_progress(tally)
    tally.seconds = time.monotonic() - began
    on_progress(tally)
    return tally


def _wait_until_due(
    producer: Producer,
    began: float,
    tally: Tally,
    rate: float | None,
    on_progress: Callable[[Tally], None],
) -> None:
    """Serves delivery reports until the next message is due."""
    due = began if rate is None else began + tally.sent / rate
    while (left := due - time.monotonic()) > 0:
        if left < _SHORTEST_POLL_S:
            time.sleep(left)
        else:
            producer.poll(min(left, _FLUSH_STEP_S))
        if left > _FLUSH_STEP_S:
            on_progress(tally)
    producer.poll(0)
    if tally.sent % (100 if rate is None else max(1, int(rate * _FLUSH_STEP_S))) == 0:
        on_progress(tally)


def _produce(
    producer: Producer, topic: str, message: Message, delivered: Callable[..., None]
) -> None:
    while True:
        try:
            producer.produce(
                topic,
                message.value,
                message.key,
                headers=list(message.headers),
                on_delivery=delivered,
            )
            return
        except BufferError:  # the client's queue is full: wait until messages are delivered
            producer.poll(_FLUSH_STEP_S)
