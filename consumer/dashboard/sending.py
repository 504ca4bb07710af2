"""Sends images from the page to the input topic, and keeps the delivered images."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from confluent_kafka import KafkaError, KafkaException, Producer
from numpy.typing import NDArray

from consumer.answers import Answer
from consumer.dashboard.inputs import Inputs
from consumer.dashboard.results import ResultLog
from consumer.dashboard.uploads import Picture, RefusedFile
from producer.formats import FORMATS, encode
from seldon_kafka.config.clients import producer_config
from seldon_kafka.config.refusal import MAY_NOT_WRITE
from seldon_kafka.config.rights import RightMissing, producer_rights
from seldon_kafka.config.settings import Settings
from seldon_kafka.transport.topic_writer import RenewedProducer

_POLL_S = 0.05
_TIMEOUT_S = 30.0
NOT_SENT = "not_sent"
"""The reason in the result of a file that was not sent."""


class Sender:
    """Sends images for all pages; safe to use from several threads.

    Args:
        settings: topic and brokers.
        results: log that gets a result for each file that could not be sent.
        inputs: store that gets each delivered image with the position of its message.
    """

    def __init__(self, settings: Settings, results: ResultLog, inputs: Inputs) -> None:
        self._topic = settings.input_topic
        self._rights = producer_rights(settings)
        self._results = results
        self._inputs = inputs
        self._producer = RenewedProducer(
            producer_config(settings, message_timeout_ms=int(_TIMEOUT_S * 1000))
        )
        self._polled: list[Producer] = []
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="sender", daemon=True)

    def start(self) -> None:
        """Starts the thread that handles delivery reports."""
        self._thread.start()

    def close(self) -> None:
        """Stops the thread, and waits up to a second for messages that are not acknowledged."""
        self._closing.set()
        self._thread.join()
        self._producer.close(1.0)

    def send(self, picture: Picture, wire_format: str, truth: str | None = None) -> bool:
        """Sends a picture, without waiting for its acknowledgement.

        Args:
            picture: the picture; its name becomes the key of the message.
            wire_format: one of `producer.formats.FORMATS`.
            truth: the true label in romaji; None if unknown.

        Returns:
            Whether the client accepted the message. If not, or if the delivery fails later, the
            error becomes a result.
        """
        encoding = FORMATS[wire_format]
        images: NDArray[np.uint8] = picture.image[np.newaxis]

        def delivered(error: Any, message: Any) -> None:
            if error is not None:
                self.refuse(RefusedFile(picture.name, f"not sent: {self._describe_error(error)}"))
                return
            position = (str(message.topic()), message.partition(), message.offset())
            self._inputs.keep(position, images)

        try:
            self._produce(
                key=picture.name.encode("utf-8", "replace"),
                value=encode(encoding, images),
                headers=list(encoding.headers(truth)),
                on_delivery=delivered,
            )
        except (KafkaException, BufferError) as error:
            why = (
                self._describe_error(error.args[0])
                if isinstance(error, KafkaException)
                else str(error)
            )
            self.refuse(RefusedFile(picture.name, f"not sent: {why}"))
            return False
        return True

    def _produce(self, **message: Any) -> None:
        producer = self._producer.produce(self._topic, **message)
        with self._lock:
            if producer not in self._polled:
                self._polled.append(producer)

    def _describe_error(self, error: KafkaError) -> str:
        if error.code() in MAY_NOT_WRITE:
            return str(RightMissing(self._rights, "producer"))
        return str(error.str())

    def refuse(self, refused: RefusedFile) -> None:
        """Adds a result for a file that was not sent."""
        answer = Answer(
            input_position=None,
            key=refused.name,
            worker="",
            timestamp_ms=None,
            reason=NOT_SENT,
            message=refused.why,
        )
        self._results.add(answer, None, time.time(), None)

    def send_all(
        self, pictures: Sequence[Picture], wire_format: str, truths: Sequence[str | None]
    ) -> list[Picture]:
        """Sends pictures in order, and returns the pictures that the client accepted."""
        return [
            picture
            for picture, truth in zip(pictures, truths, strict=True)
            if self.send(picture, wire_format, truth)
        ]

    def _serve(self) -> None:
        while not self._closing.is_set():
            with self._lock:
                # A producer that failed and was replaced may still have delivery reports.
                self._polled = [
                    each for each in self._polled if len(each) or self._producer.is_current(each)
                ]
                producers = list(self._polled)
            for producer in producers:
                with suppress(KafkaException):
                    self._producer.poll(producer, _POLL_S)
            if not producers:
                self._closing.wait(_POLL_S)
