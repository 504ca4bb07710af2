"""Sends what a person made or chose, and knows where it ended up."""

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
from consumer.dashboard.uploads import Picture, Refused
from producer.formats import FORMATS, encode
from seldon_kafka.config.clients import producer_config
from seldon_kafka.config.refusal import MAY_NOT_WRITE
from seldon_kafka.config.rights import RightMissing, producer_rights
from seldon_kafka.config.settings import Settings
from seldon_kafka.transport.topic_writer import RenewedProducer

_POLL_S = 0.05
_GIVE_UP_S = 30.0
NOT_SENT = "not_sent"
"""The reason of a file that was never sent."""


class Sender:
    """A producer for all pages; safe to use from several threads."""

    def __init__(self, settings: Settings, results: ResultLog, inputs: Inputs) -> None:
        """Start to send.

        Args:
            settings: Topic and brokers.
            results: Where it is told what could not be sent.
            inputs: That learns where each image is.
        """
        self._topic = settings.input_topic
        self._rights = producer_rights(settings)
        self._results = results
        self._inputs = inputs
        self._producer = RenewedProducer(
            producer_config(settings, message_timeout_ms=int(_GIVE_UP_S * 1000))
        )
        self._polled: list[Producer] = []
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="sender", daemon=True)

    def start(self) -> None:
        """Serve delivery reports."""
        self._thread.start()

    def close(self) -> None:
        """Stop; what is still under way is given up after a second."""
        self._closing.set()
        self._thread.join()
        self._producer.close(1.0)

    def send(self, picture: Picture, wire_format: str, truth: str | None = None) -> bool:
        """Send a picture; it is not waited for.

        Args:
            picture: Its name becomes the key.
            wire_format: One of `producer.formats.FORMATS`.
            truth: The romaji name of what it shows, if that is known.

        Returns:
            Whether it is on its way; if not, the results say why.
        """
        form = FORMATS[wire_format]
        images: NDArray[np.uint8] = picture.image[np.newaxis]

        def delivered(error: Any, message: Any) -> None:
            if error is not None:
                self.refuse(Refused(picture.name, f"not sent: {self._why(error)}"))
                return
            place = (str(message.topic()), message.partition(), message.offset())
            self._inputs.keep(place, images)

        try:
            self._produce(
                key=picture.name.encode("utf-8", "replace"),
                value=encode(form, images),
                headers=list(form.headers(truth)),
                on_delivery=delivered,
            )
        except (KafkaException, BufferError) as error:
            why = self._why(error.args[0]) if isinstance(error, KafkaException) else str(error)
            self.refuse(Refused(picture.name, f"not sent: {why}"))
            return False
        return True

    def _produce(self, **message: Any) -> None:
        producer = self._producer.produce(self._topic, **message)
        with self._lock:
            if producer not in self._polled:
                self._polled.append(producer)

    def _why(self, error: KafkaError) -> str:
        if error.code() in MAY_NOT_WRITE:
            return str(RightMissing(self._rights, "producer"))
        return str(error.str())

    def refuse(self, refused: Refused) -> None:
        """Say in the results that a file was not sent."""
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
        """Send pictures in order, and return those that are on their way; see `send`."""
        return [
            picture
            for picture, truth in zip(pictures, truths, strict=True)
            if self.send(picture, wire_format, truth)
        ]

    def _serve(self) -> None:
        while not self._closing.is_set():
            with self._lock:
                # One that fell still says what it can't deliver.
                self._polled = [
                    each for each in self._polled if len(each) or self._producer.is_current(each)
                ]
                producers = list(self._polled)
            for producer in producers:
                with suppress(KafkaException):
                    self._producer.poll(producer, _POLL_S)
            if not producers:
                self._closing.wait(_POLL_S)
