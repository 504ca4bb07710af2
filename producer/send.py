"""Sending messages, and counting what the brokers acknowledge."""

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
_SHORTEST_POLL_S = 0.001  # the client counts whole milliseconds: it would not wait for less


class SendError(Exception):
    """Nothing can be sent; the message says what to do."""


@dataclass
class Tally:
    """What has become of the messages so far.

    Attributes:
        sent: Handed to the client.
        acknowledged: Kept by as many brokers as the topic asks for.
        failed: Given up.
        images: Images in what was sent.
        acknowledged_bytes: Bytes of the values that were acknowledged.
        seconds: From the first message to the last acknowledgement.
        reasons: Why messages failed, and how many for each reason.
        interrupted: Sending ended before the messages did.
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
        """Whether everything was acknowledged."""
        return not self.interrupted and self.acknowledged == self.sent


def check_topic(producer: Producer, topic: str, config: Mapping[str, Any]) -> None:
    """Find out before the first message whether the topic is there.

    Args:
        producer: That will send.
        topic: Where to.
        config: The producer's, to ask why the brokers do not let it in.

    Raises:
        SendError: No broker answers, or there is no such topic, or it may not be written.
    """
    try:
        found = producer.list_topics(topic, timeout=10).topics[topic]
    except KafkaException as error:
        why = explained(error, config).args[0].str()
        raise SendError(f"no broker answers: {why}") from error
    if found.error is not None:
        if found.error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            raise SendError(str(RightMissing([Right(TOPIC, topic, WRITE, "")], "producer")))
        raise SendError(
            f"topic {topic}: {found.error.str()}; make it with `seldon-kafka topics create`"
        )


def send(
    producer: Producer,
    topic: str,
    messages: Iterable[Message],
    rate: float | None = None,
    watch: Callable[[Tally], None] = lambda tally: None,
) -> Tally:
    """Send messages and wait until each is acknowledged or given up.

    Ctrl-C ends the sending, not the waiting for what is under way; a second one
    ends that too.

    Args:
        producer: The client; its `message.timeout.ms` bounds the waiting.
        topic: Where to.
        messages: What to send.
        rate: Messages a second; None sends as fast as the brokers take them.
        watch: Called now and then with what has become of them.
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
            _wait_for_turn(producer, began, tally, rate, watch)
            _produce(producer, topic, message, delivered)
            tally.sent += 1
            tally.images += message.images
    except KeyboardInterrupt:
        tally.interrupted = True
    while producer.flush(_FLUSH_STEP_S):
        watch(tally)
    tally.seconds = time.monotonic() - began
    watch(tally)
    return tally


def _wait_for_turn(
    producer: Producer,
    began: float,
    tally: Tally,
    rate: float | None,
    watch: Callable[[Tally], None],
) -> None:
    """Serve delivery reports until the next message is due."""
    due = began if rate is None else began + tally.sent / rate
    while (left := due - time.monotonic()) > 0:
        if left < _SHORTEST_POLL_S:
            time.sleep(left)
        else:
            producer.poll(min(left, _FLUSH_STEP_S))
        if left > _FLUSH_STEP_S:
            watch(tally)
    producer.poll(0)
    if tally.sent % (100 if rate is None else max(1, int(rate * _FLUSH_STEP_S))) == 0:
        watch(tally)


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
        except BufferError:  # the client's queue is full: wait until some are delivered
            producer.poll(_FLUSH_STEP_S)
