"""`python -m bench.open_loop`: sends images on a schedule, without waiting for replies.

The key of each message is its due time, in nanoseconds of the monotonic clock, which all processes
of a machine share. If the sender falls behind, the due times stay the same. So a stall adds to the
latency of every message that was due during the stall.
"""

from __future__ import annotations

import argparse
import sys
import time

from confluent_kafka import Producer

from bench.payloads import bundled_images, payloads

_FLUSH_S = 30.0
# Messages a second up to which each message is sent at once. Above this rate, as in an ordinary
# sender, the messages of 5 ms share a request.
_NO_LINGER_UP_TO = 1000.0
_LINGER_MS = 5
# Shortest wait in seconds at rates above `_NO_LINGER_UP_TO`. The sender skips shorter waits,
# because a wait takes CPU time too.
_SHORTEST_S = 0.001


def main() -> int:
    """Sends the images; returns 1 if the brokers did not take all of them, else 0."""
    parser = argparse.ArgumentParser(description="Sends images on a schedule.")
    parser.add_argument("--broker", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--partitions", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True, help="messages a second")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--format", default="ndarray")
    options = parser.parse_args()
    made = list(payloads(options.format, bundled_images()))
    linger_ms = 0 if options.rate <= _NO_LINGER_UP_TO else _LINGER_MS
    config: dict[str, str | int | float | bool] = {
        "bootstrap.servers": options.broker,
        "linger.ms": linger_ms,
        "acks": "all",
    }
    producer = Producer(config)
    count = int(options.rate * options.seconds)
    started_ns = time.monotonic_ns()
    for number in range(count):
        due_ns = started_ns + int(number / options.rate * 1e9)
        wait_s = (due_ns - time.monotonic_ns()) / 1e9
        if wait_s > (0 if linger_ms == 0 else _SHORTEST_S):
            time.sleep(wait_s)
        payload = made[number % len(made)]
        producer.produce(
            options.topic,
            payload.value,
            b"%d" % due_ns,
            partition=number % options.partitions,
            headers=[*payload.headers],
        )
        producer.poll(0)
    return 1 if producer.flush(_FLUSH_S) else 0


if __name__ == "__main__":
    sys.exit(main())
