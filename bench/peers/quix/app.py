"""Quix Streams: a StreamingDataFrame, one message at a time.

The peer follows https://quix.io/docs/quix-streams/processing.html ("apply") and
https://quix.io/docs/quix-streams/advanced/serialization.html (bytes in, bytes out). Quix Streams
has batches only in windows, which keep state, and in sinks, which do not write to topics.
"""

from __future__ import annotations

from bench_common import Answerer, read_settings, report_ready
from quixstreams import Application


def main() -> None:
    """Answers messages until SIGTERM, which `Application.run` handles."""
    settings = read_settings()
    answer = Answerer(settings.format_name)
    app = Application(
        broker_address=settings.broker,
        consumer_group=settings.group,
        auto_offset_reset="earliest",
        auto_create_topics=False,
        state_dir=settings.state,
    )
    source = app.topic(settings.source, value_deserializer="bytes")
    replies = app.topic(settings.replies, value_serializer="bytes")
    stream = app.dataframe(source)
    stream = stream.apply(lambda value: answer([value])[0])
    stream.to_topic(replies)
    report_ready()
    app.run()


if __name__ == "__main__":
    main()
