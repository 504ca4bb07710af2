"""Fetches the messages that a page shows, and keeps the images of the latest messages."""

from __future__ import annotations

import asyncio
import io
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from confluent_kafka import Consumer, KafkaException
from numpy.typing import NDArray
from PIL import Image

from consumer.pictures import fetch_record, read_pixels, single_fetch_config
from seldon_kafka.config.clients import consumer_config
from seldon_kafka.config.settings import Settings
from seldon_kafka.dead_letters.letters import read_letter
from seldon_kafka.messages import InputPosition, Record

_THREADS = 3
_WAIT_S = 2.0
_MOST_KEPT_BYTES = 32 * 2**20

T = TypeVar("T")

Images = NDArray[np.uint8]
"""uint8 (n, 28, 28)."""


class Inputs:
    """Fetches messages in background threads, and keeps the latest images.

    Args:
        settings: topics and brokers.
    """

    def __init__(self, settings: Settings) -> None:
        self._config: dict[str, Any] = single_fetch_config(
            consumer_config(settings, f"{settings.group_id}.dashboard")
        )
        self._max_bytes = settings.max_message_bytes
        self._dead_letter_topic = settings.dead_letter_topic
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="inputs")
        self._consumers: list[Consumer] = []
        self._of_thread = threading.local()
        self._lock = threading.Lock()
        self._images: OrderedDict[InputPosition, Images] = OrderedDict()
        self._bytes = 0

    def close(self) -> None:
        """Stops the threads, and closes their consumers."""
        self._pool.shutdown(cancel_futures=True)
        for consumer in self._consumers:
            consumer.close()

    def keep(self, position: InputPosition, images: Images) -> None:
        """Keeps the images of a message, so that `images` need not fetch the message."""
        with self._lock:
            if position not in self._images:
                self._bytes += images.nbytes
            self._images[position] = images
            while self._bytes > _MOST_KEPT_BYTES and len(self._images) > 1:
                self._bytes -= self._images.popitem(last=False)[1].nbytes

    async def record(self, position: InputPosition) -> Record | None:
        """Returns a message; None if it does not exist, or did not arrive within 2 s."""
        return await self._in_the_pool(self._fetch, position)

    async def images(self, position: InputPosition) -> Images | None:
        """Returns the images of an input message, or of the input in a dead letter.

        Returns:
            uint8 (n, 28, 28). None if the message can't be fetched or has no images of 28 x 28.
        """
        with self._lock:
            known = self._images.get(position)
        return known if known is not None else await self._in_the_pool(self._fetch_images, position)

    async def _in_the_pool(self, fetch: Callable[[InputPosition], T], position: InputPosition) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, fetch, position)

    def _fetch_images(self, position: InputPosition) -> Images | None:
        record = self._fetch(position)
        if record is None:
            return None
        if record.topic == self._dead_letter_topic:
            letter = read_letter(record)
            record = record if letter is None else letter.original()
        images = read_pixels(record, self._max_bytes)
        if images is not None:
            self.keep(position, images)
        return images

    def _fetch(self, position: InputPosition) -> Record | None:
        consumer: Consumer | None = getattr(self._of_thread, "consumer", None)
        if consumer is None:
            consumer = self._of_thread.consumer = Consumer(self._config)
            with self._lock:
                self._consumers.append(consumer)
        try:
            return fetch_record(consumer, position, _WAIT_S)
        except KafkaException:
            return None


def png(image: Images) -> bytes:
    """Returns an image, uint8 (28, 28), as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()
