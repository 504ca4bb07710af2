"""The steady load: numbered images with keys, sent on a schedule independent of the replies."""

from __future__ import annotations

import functools
import itertools
import threading
import time
from collections.abc import Callable, Iterable

from confluent_kafka import KafkaError, Message, Producer

from seldon_kafka.config.clients import producer_config
from seldon_kafka.config.settings import Settings
from seldon_kafka.messages import Headers
from tests.faults import images
from tests.faults.checker import EXPECT, IMAGE, NUMBER, REPLY
from tests.faults.numbers import Numbers

KEYS = 97

_TURN_S = 0.02
_FLUSH_S = 60.0
# A limit of memory while the brokers are unavailable.
_MAX_QUEUED = 500_000


class Load:
    """Sends numbered messages from a thread.

    Args:
        settings: brokers and topic.
        closing: once it is set, messages that do not fit into the queue are dropped.

    Attributes:
        sent: number of messages that were given to a producer.
        confirmed: numbers of the messages that the brokers confirmed; those of a transaction
            after its commit.
        on_s: seconds that the schedule was running, until its last stop.
    """

    def __init__(self, settings: Settings, closing: threading.Event) -> None:
        self.confirmed = Numbers()
        self.rate = 0.0
        self._topic = settings.input_topic
        self._closing = closing
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._on = threading.Event()
        self._producer = Producer(
            producer_config(
                settings,
                client_id="load",
                # Busy senders do the same; single requests would keep the brokers busy.
                linger_ms=100,
                # The images repeat, and disks are small.
                compression_type="zstd",
                compression_level=1,
                queue_buffering_max_messages=_MAX_QUEUED,
                queue_buffering_max_kbytes=2 * 1024 * 1024,
            )
        )
        self._thread: threading.Thread | None = None
        self._started = 0.0
        self.sent = 0
        self.on_s = 0.0

    def number(self) -> int:
        """Returns the number for the next message."""
        with self._lock:
            self.sent += 1
            return next(self._numbers)

    def start(self, rate: float) -> None:
        """Starts to send this number of messages a second."""
        self.rate = rate
        self._started = time.monotonic()
        self._on.set()
        self._thread = threading.Thread(target=self._send_on_schedule, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stops the schedule; queued messages are still sent."""
        self._on.clear()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            self.on_s += time.monotonic() - self._started

    def resume(self) -> None:
        """Starts again at the same rate, if it was stopped."""
        if self._thread is None:
            self.start(self.rate)

    def flush(self) -> int:
        """Waits until all messages are sent; returns the number of unconfirmed ones."""
        return int(self._producer.flush(_FLUSH_S))

    def burst(self, count: int) -> None:
        """Sends this number of valid messages at once."""
        for _ in range(count):
            self._send_next()

    def send(
        self,
        value: bytes | None,
        *,
        expect: str,
        headers: Headers = (),
        shown: str = "",
        key: bytes | None = b"",
    ) -> int:
        """Sends one message of any kind.

        Args:
            value: value of the message.
            expect: expected outcome, see `checker.EXPECT`.
            headers: headers to send in addition to the headers of the harness.
            shown: the images, see `images.EncodedImages`.
            key: key of the message; default one by its number, None for none.

        Returns:
            The message's number.
        """
        number = self.number()
        self.produce(
            self._producer,
            number,
            value,
            expect,
            headers,
            shown,
            _key(number, key),
            functools.partial(self._delivered, number),
        )
        return number

    def send_images(self, encoded: images.EncodedImages, key: bytes | None = b"") -> int:
        """Sends valid images as one message; returns its number."""
        return self.send(
            encoded.value, expect=REPLY, headers=encoded.headers, shown=encoded.shown, key=key
        )

    def produce(
        self,
        producer: Producer,
        number: int,
        value: bytes | None,
        expect: str,
        headers: Headers,
        shown: str,
        key: bytes | None,
        on_delivery: Callable[[KafkaError | None, Message], None] | None = None,
    ) -> None:
        """Sends a numbered message with any producer, which reports the delivery."""
        named = [(NUMBER, b"%d" % number), (IMAGE, shown.encode()), (EXPECT, expect.encode())]
        while True:
            try:
                producer.produce(
                    self._topic,
                    value=value,
                    key=key,
                    headers=[*named, *headers],
                    on_delivery=on_delivery,
                )
                break
            except BufferError:
                if self._closing.is_set():
                    return
                producer.poll(0.1)
        producer.poll(0)

    def confirm(self, numbers: Iterable[int]) -> None:
        """Stores that the brokers confirmed the messages of these numbers."""
        with self._lock:
            for number in numbers:
                self.confirmed.add(number)

    def _delivered(self, number: int, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self.confirm((number,))

    def _send_next(self) -> None:
        # The choice of images does not matter, as long as all of them are sent.
        self.send_images(images.message(self.sent))

    def _send_on_schedule(self) -> None:
        began, done = time.monotonic(), 0
        while self._on.is_set():
            due = int((time.monotonic() - began) * self.rate)
            for _ in range(due - done):
                self._send_next()
            done = due
            self._producer.poll(_TURN_S)


def _key(number: int, key: bytes | None) -> bytes | None:
    return b"key-%d" % (number % KEYS) if key == b"" else key
