"""Fetches the images of inputs from the input topic, because replies do not contain them."""

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

from seldon_kafka.codec import decode
from seldon_kafka.errors import Rejected
from seldon_kafka.messages import InputPosition, Record
from seldon_kafka.transport.consumed import record_of

SIDE = 28
_WAIT_S = 1.0
_MOST_REQUESTED = 64
_MOST_KEPT = 256

# `decode`, numpy and Pillow raise these for values that are not images, and for damaged images.
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
    """Decodes the images of an input message.

    Args:
        record: the input message.
        max_bytes: limit of the size of the value, in bytes; larger values are not decoded.

    Returns:
        uint8 (n, 28, 28), with 255 for full ink; None if the value has no images of 28 x 28.
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
    # The classifier has the same rule: any value above 1 means that the scale is 0 to 255.
    brightest = values.max(initial=0)
    return np.rint(np.clip(values * (1 if brightest > 1 else 255), 0, 255)).astype(np.uint8)


def _from_bytes(data: bytes) -> NDArray[np.uint8]:
    if not data.startswith((b"\x89PNG", b"\xff\xd8")):
        return np.frombuffer(data, np.uint8)
    picture = Image.open(io.BytesIO(data), formats=("PNG", "JPEG"))
    if picture.size != (SIDE, SIDE):  # known from the header, before any pixel is unpacked
        raise ValueError("not 28 x 28 pixels")
    return np.asarray(picture.convert("L"))


def single_fetch_config(config: dict[str, Any]) -> dict[str, Any]:
    """Returns the properties of a consumer that fetches single messages quickly.

    Args:
        config: properties of a `confluent_kafka.Consumer`.
    """
    return {
        **config,
        "fetch.message.max.bytes": 65536,  # a larger message is still sent, but without others
        "queued.max.messages.kbytes": 1024,
        # A broker without new messages answers a request only after this time, and the consumer
        # sends no other request to the broker meanwhile.
        "fetch.wait.max.ms": 10,
    }


def fetch_record(consumer: Consumer, position: InputPosition, wait_s: float) -> Record | None:
    """Fetches the message at a position.

    Args:
        consumer: a consumer with the properties of `single_fetch_config`. No other thread may use
            it during the call.
        position: topic, partition and offset of the message.
        wait_s: time-out, in seconds.

    Returns:
        The message; None if it no longer exists, or did not arrive within the time-out.

    Raises:
        KafkaException: the client refuses the assignment.
    """
    topic, partition, offset = position
    consumer.assign([TopicPartition(topic, partition, offset)])
    deadline = time.monotonic() + wait_s
    try:
        while (left := deadline - time.monotonic()) > 0:
            message = consumer.poll(left)
            if message is None or message.error() is not None:
                continue
            if (message.partition(), message.offset()) != (partition, offset):
                return None  # the wanted message was deleted, and this is a later one
            return record_of(message)
        return None
    finally:
        # An assigned consumer would request further messages, a hundred times a second.
        consumer.unassign()


class PictureFetcher:
    """Fetches the images of inputs in a background thread, so that a view does not wait for them.

    Args:
        config: properties of a `confluent_kafka.Consumer`.
        max_bytes: limit of the size of a value, in bytes; larger values are not decoded.
    """

    def __init__(self, config: dict[str, Any], max_bytes: int) -> None:
        self._consumer = Consumer(single_fetch_config(config))
        self._max_bytes = max_bytes
        self._requested: queue.Queue[InputPosition | None] = queue.Queue(_MOST_REQUESTED)
        self._fetched: dict[InputPosition, NDArray[np.uint8] | None] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def request(self, position: InputPosition) -> None:
        """Requests an input. If too many requests are pending, the request ends without images."""
        if position in self._fetched:
            return
        try:
            self._requested.put_nowait(position)
        except queue.Full:
            self._keep(position, None)

    def result(self, position: InputPosition) -> tuple[bool, NDArray[np.uint8] | None]:
        """Returns the state of a request.

        Returns:
            Whether the request is finished, and the images, uint8 (n, 28, 28). The images are None
            before the end of the request, and if the input has none or could not be fetched.
        """
        return position in self._fetched, self._fetched.get(position)

    def close(self) -> None:
        """Stops the thread, and closes the consumer."""
        self._closing.set()
        # An empty queue needs an item to wake the thread. With a full queue, the thread finds the
        # event set after its current request.
        with suppress(queue.Full):
            self._requested.put_nowait(None)
        self._thread.join()
        self._consumer.close()

    def _run(self) -> None:
        while (position := self._requested.get()) is not None and not self._closing.is_set():
            try:
                if position not in self._fetched:  # several cards may request one input
                    self._keep(position, self._fetch(position))
            except KafkaException:  # the view then shows the answer without its image
                self._keep(position, None)

    def _keep(self, position: InputPosition, images: NDArray[np.uint8] | None) -> None:
        with self._lock:
            self._fetched[position] = images
            while len(self._fetched) > _MOST_KEPT:
                self._fetched.pop(next(iter(self._fetched)))

    def _fetch(self, position: InputPosition) -> NDArray[np.uint8] | None:
        record = fetch_record(self._consumer, position, _WAIT_S)
        return None if record is None else read_pixels(record, self._max_bytes)
