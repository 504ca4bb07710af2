"""A plain loop: consume some messages, answer them together, flush, commit.

The peer follows the "Basic poll loop" and "Synchronous commits" examples of
https://docs.confluent.io/kafka-clients/python/current/overview.html, with `consume` for several
messages at once.
"""

from __future__ import annotations

import signal
import threading

from bench_common import BATCH, WITHIN_S, Answerer, read_settings, report_ready
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer


def fail_unless_delivered(error: KafkaError | None, _message: Message) -> None:
    """Stops the loop before it commits messages that were not answered."""
    if error is not None:
        raise KafkaException(error)


def main() -> None:
    """Answers messages until SIGTERM."""
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    settings = read_settings()
    answer = Answerer(settings.format_name)
    producer = Producer({"bootstrap.servers": settings.broker, "enable.idempotence": True})
    consumer = Consumer(
        {
            "bootstrap.servers": settings.broker,
            "group.id": settings.group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([settings.source], on_assign=lambda *_: report_ready())
    try:
        while not stopping.is_set():
            messages = consumer.consume(BATCH, WITHIN_S)
            for message in messages:
                if message.error():
                    raise KafkaException(message.error())
            if not messages:
                continue
            replies = answer([message.value() for message in messages])
            for message, reply in zip(messages, replies, strict=True):
                producer.produce(
                    settings.replies, reply, message.key(), on_delivery=fail_unless_delivered
                )
            producer.flush()
            consumer.commit(asynchronous=False)
    finally:
        consumer.close()


if __name__ == "__main__":
    main()
