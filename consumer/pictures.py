"""The pixels of inputs, which replies do not carry: fetched by where the input was."""

from __future__ import annotations

import io
import queue
import struct
import threading
import time
from contextlib import suppress
from typing import Any

import numpy as np
from confluent_kafka import Consumer, KafkaException, TopicPartition
from numpy.typing import NDArray
from PIL import Image

from consumer.answers import Place
from seldon_kafka.codec import decode
from seldon_kafka.errors import Rejected
from seldon_kafka.messages import Record
from seldon_kafka.transport.consumed import record_of

SIDE = 28
_WAIT_S = 1.0
_WAITING = 64
_KEPT = 256


# Pillow says in many ways that a picture is damaged.
_UNREADABLE = (
    Rejected,
    ValueError,
    TypeError,
    OverflowError,
    OSError,
    SyntaxError,
    struct.error,
    Image.DecompressionBombError,
)


def read_pixels(record: Record, max_bytes: int) -> NDArray[np.uint8] | None:
    """The images in an input message, for the eye.

    Args:
        record: The input message.
        max_bytes: Larger ones are not looked at.

    Returns:
        uint8 (n, 28, 28), or None if it holds nothing of that kind.
    """
    try:
        data = decode(record, max_bytes).payload.data
        if isinstance(data, bytes):
            data = _from_bytes(data)
        values = np.asarray(data, dtype=np.float64).reshape(-1, SIDE, SIDE)
    except _UNREADABLE:
        return None
    if not np.isfinite(values).all():
        return None
    # Any value above 1 means that the scale is 0 to 255, as the classifier takes it.
    brightest = values.max(initial=0)
    return np.rint(np.clip(values * (1 if brightest > 1 else 255), 0, 255)).astype(np.uint8)


def _from_bytes(data: bytes) -> NDArray[np.uint8]:
    if not data.startswith((b"\x89PNG", b"\xff\xd8")):
        return np.frombuffer(data, np.uint8)
    picture = Image.open(io.BytesIO(data), formats=("PNG", "JPEG"))
    if picture.size != (SIDE, SIDE):  # known before a pixel is unpacked
        raise ValueError("not 28 x 28 pixels")
    return np.asarray(picture.convert("L"))


def hasty(config: dict[str, Any]) -> dict[str, Any]:
    """A consumer's configuration for fetching single messages soon."""
    return {
        **config,
        "fetch.message.max.bytes": 65536,  # a message that is larger comes alone
        "queued.max.messages.kbytes": 1024,
        # A broker that has nothing new to send holds the next request up for so long.
        "fetch.wait.max.ms": 10,
    }


def fetch_record(consumer: Consumer, place: Place, wait_s: float) -> Record | None:
    """Fetches one message by where it stands.

    Args:
        consumer: Made of a `hasty` configuration; nobody else uses it meanwhile.
        place: Of the message.
        wait_s: How long to wait for it.

    Returns:
        The message; None if it is not there any more, or did not come in time.

    Raises:
        KafkaException: There is no such partition, or no broker answers.
    """
    topic, partition, offset = place
    consumer.assign([TopicPartition(topic, partition, offset)])
    deadline = time.monotonic() + wait_s
    try:
        while (left := deadline - time.monotonic()) > 0:
            message = consumer.poll(left)
            if message is None or message.error() is not None:
                continue
            if (message.partition(), message.offset()) != (partition, offset):
                return None  # retention has deleted it
            return record_of(message)
        return None
    finally:
        # Else it would go on asking the broker for what comes next, a hundred times a second.
        consumer.unassign()


class PictureFetcher:
    """Fetches inputs in the background, as many as it can; a view does not wait for it."""

    def __init__(self, config: dict[str, Any], max_bytes: int) -> None:
        """Start fetching.

        Args:
            config: Of a `confluent_kafka.Consumer`.
            max_bytes: Larger inputs are not looked at.
        """
        self._consumer = Consumer(hasty(config))
        self._max_bytes = max_bytes
        self._wanted: queue.Queue[Place | None] = queue.Queue(_WAITING)
        self._found: dict[Place, NDArray[np.uint8] | None] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def want(self, place: Place) -> None:
        """Ask for an input; if too many are waited for, it is taken for not to be had."""
        if place in self._found:
            return
        try:
            self._wanted.put_nowait(place)
        except queue.Full:
            self._keep(place, None)

    def take(self, place: Place) -> tuple[bool, NDArray[np.uint8] | None]:
        """Whether an input that was asked for has come, and its images."""
        return place in self._found, self._found.get(place)

    def close(self) -> None:
        """Stop fetching."""
        self._closing.set()
        with suppress(queue.Full):  # then it is about to take one, and will see
            self._wanted.put_nowait(None)
        self._thread.join()
        self._consumer.close()

    def _run(self) -> None:
        while (place := self._wanted.get()) is not None and not self._closing.is_set():
            try:
                if place not in self._found:  # several cards may want one input
                    self._keep(place, self._fetch(place))
            except KafkaException:  # the topic is gone, or no broker answers: no picture
                self._keep(place, None)

    def _keep(self, place: Place, images: NDArray[np.uint8] | None) -> None:
        with self._lock:
            self._found[place] = images
            while len(self._found) > _KEPT:
                self._found.pop(next(iter(self._found)))

    def _fetch(self, place: Place) -> NDArray[np.uint8] | None:
        record = fetch_record(self._consumer, place, _WAIT_S)
        return None if record is None else read_pixels(record, self._max_bytes)
