"""The steady load: keyed, numbered images, sent on a schedule whether or not answers come."""

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
# Beyond this the load would only grow in memory while brokers are away.
_MOST_QUEUED = 500_000


class Load:
    """Sends numbered messages, from a thread of its own while it is on.

    Attributes:
        sent: how many messages were handed over.
        confirmed: the numbers of those that the brokers have confirmed; of a transaction's
            messages, once it is committed.
        on_s: for how long the schedule was on, until it was stopped last.

    Args:
        settings: where to.
        closing: once it is set, what there is no room for is dropped.
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
                # As busy senders do: a request for each message would keep the brokers busy.
                linger_ms=100,
                # The images come again and again, and disks are small.
                compression_type="zstd",
                compression_level=1,
                queue_buffering_max_messages=_MOST_QUEUED,
                queue_buffering_max_kbytes=2 * 1024 * 1024,
            )
        )
        self._thread: threading.Thread | None = None
        self._started = 0.0
        self.sent = 0
        self.on_s = 0.0

    def number(self) -> int:
        """The next message's number."""
        with self._lock:
            self.sent += 1
            return next(self._numbers)

    def start(self, rate: float) -> None:
        """Begins to send so many messages a second."""
        self.rate = rate
        self._started = time.monotonic()
        self._on.set()
        self._thread = threading.Thread(target=self._send_on_schedule, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the schedule; what was handed over is still sent."""
        self._on.clear()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            self.on_s += time.monotonic() - self._started

    def go_on(self) -> None:
        """Begins again at the same rate, if it was stopped."""
        if self._thread is None:
            self.start(self.rate)

    def flush(self) -> int:
        """Waits until all is sent; returns how many messages are not confirmed."""
        return int(self._producer.flush(_FLUSH_S))

    def burst(self, count: int) -> None:
        """Sends so many messages of good images at once."""
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
            value: its value.
            expect: what is to become of it, see `checker.EXPECT`.
            headers: beside those that number it.
            shown: which images it holds, see `images.Coded`.
            key: its key; one by its number unless given, None for none.

        Returns:
            Its number.
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

    def send_images(self, coded: images.Coded, key: bytes | None = b"") -> int:
        """Sends good images as one message; returns its number."""
        return self.send(
            coded.value, expect=REPLY, headers=coded.headers, shown=coded.shown, key=key
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
        """Hands a numbered message to any producer, which is to say what became of it."""
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
        """Notes that the brokers have confirmed messages of these numbers."""
        with self._lock:
            for number in numbers:
                self.confirmed.add(number)

    def _delivered(self, number: int, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self.confirm((number,))

    def _send_next(self) -> None:
        # Which images it is does not matter, only that all come.
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
