"""FastStream with aiokafka: a subscriber and a publisher of batches.

The peer follows https://faststream.ag2.ai/latest/kafka/Subscriber/batch_subscriber/,
https://faststream.ag2.ai/latest/kafka/Publisher/batch_publisher/ (`publish_batch` with a key
for each message) and https://faststream.ag2.ai/latest/kafka/ack/ (commit after the answer).
`publish_batch` ignores the keys and writes all messages of a batch to one partition. A batch with
more bytes than `max_batch_size` is refused.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka import ConsumerRebalanceListener
from bench_common import BATCH, WITHIN_S, Answerer, read_settings, report_ready
from faststream import AckPolicy, FastStream
from faststream.kafka import KafkaBroker, KafkaMessage, KafkaPublishMessage

settings = read_settings()
answer = Answerer(settings.format_name)
broker = KafkaBroker(settings.broker, max_batch_size=1024 * 1024)
app = FastStream(broker)


class Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Tells the benchmark when the peer has partitions."""

    async def on_partitions_revoked(self, revoked: Any) -> None:
        """Does nothing."""

    async def on_partitions_assigned(self, assigned: Any) -> None:
        """Reports that the peer is ready."""
        report_ready()


async def undecoded(message: KafkaMessage) -> Any:
    """Returns the value as bytes; FastStream would try to parse it as JSON."""
    return message.body


@broker.subscriber(
    settings.source,
    batch=True,
    max_records=BATCH,
    # FastStream also sleeps for this time after a poll without messages.
    batch_timeout_ms=int(WITHIN_S * 1000),
    group_id=settings.group,
    auto_offset_reset="earliest",
    isolation_level="read_committed",
    ack_policy=AckPolicy.ACK,
    decoder=undecoded,
    listener=Listener(),
)
async def classify(values: list[bytes], message: KafkaMessage) -> None:
    """Answers a batch of messages."""
    records = message.raw_message
    replies = [
        KafkaPublishMessage(reply, key=record.key)
        for reply, record in zip(answer(values), records, strict=True)
    ]
    await broker.publish_batch(*replies, topic=settings.replies)


if __name__ == "__main__":
    asyncio.run(app.run())
