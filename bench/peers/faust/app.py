"""Faust (the fork faust-streaming): an agent that takes messages in batches.

The peer follows https://faust-streaming.github.io/faust/userguide/streams.html ("take"). But it
uses `take_events` of https://faust-streaming.github.io/faust/reference/faust.streams.html instead
of `take`, because replies need keys. Faust flushes replies before it commits, every 3 s. Faust
reads with `read_committed` only if it also writes in transactions, and this peer does not.
"""

from __future__ import annotations

from typing import Any

import faust
from bench_common import BATCH, WITHIN_S, Answerer, read_settings, report_ready

settings = read_settings()
answer = Answerer(settings.format_name)
app = faust.App(
    settings.group,
    broker=f"kafka://{settings.broker}",
    datadir=settings.state,
    value_serializer="raw",
    # Both topics exist, and neither the leader's topic nor the web page is needed.
    topic_allow_declare=False,
    topic_disable_leader=True,
    web_enabled=False,
    worker_redirect_stdouts=False,
)
source = app.topic(settings.source, value_type=bytes)
replies = app.topic(settings.replies, value_type=bytes)


@app.agent(source)
async def classify(stream: faust.Stream[bytes]) -> None:
    """Answers the messages of a stream."""
    async for events in stream.take_events(BATCH, within=WITHIN_S):
        values = answer([event.value for event in events])
        for event, value in zip(events, values, strict=True):
            await replies.send(key=event.key, value=value)


@app.on_partitions_assigned.connect
async def assigned(_app: faust.App, assigned: Any, **_: Any) -> None:
    """Tells the benchmark that the peer is ready."""
    report_ready()


if __name__ == "__main__":
    faust.Worker(app, loglevel="INFO").execute_from_commandline()
