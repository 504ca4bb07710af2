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
from kafka.clients import producer_config
from kafka.refusal import MAY_NOT_WRITE
from kafka.rights import RightMissing, producer_rights
from kafka.settings import Settings
from producer.formats import FORMATS, encode

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
        self._config: dict[str, Any] = producer_config(
            settings, message_timeout_ms=int(_GIVE_UP_S * 1000)
        )
        self._producer: Producer | None = None
        self._fallen: list[Producer] = []
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
        if self._producer is not None:
            with suppress(KafkaException):
                self._producer.flush(1.0)

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
        producer = self._ready()
        try:
            producer.produce(self._topic, **message)
        except KafkaException as error:
            if error.args[0].code() != KafkaError._FATAL:
                raise
            # It fell after what it was last asked for, and nobody has looked since.
            self._replace(producer)
            self._ready().produce(self._topic, **message)

    def _why(self, error: KafkaError) -> str:
        if error.code() in MAY_NOT_WRITE:
            return str(RightMissing(self._rights, "producer"))
        return str(error.str())

    def refuse(self, refused: Refused) -> None:
        """Say in the results that a file was not sent."""
        answer = Answer(
            place=None,
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

    def _ready(self) -> Producer:
        with self._lock:
            if self._producer is None:
                self._producer = Producer(self._config)
            return self._producer

    def _replace(self, producer: Producer) -> None:
        """Let the next picture have a new producer; this one still says what it can't deliver."""
        with self._lock:
            if self._producer is producer:
                self._producer = None
                self._fallen.append(producer)

    def _serve(self) -> None:
        while not self._closing.is_set():
            with self._lock:
                self._fallen = [each for each in self._fallen if len(each)]
                producers = [*self._fallen, *([self._producer] if self._producer else [])]
            for producer in producers:
                try:
                    producer.poll(_POLL_S)
                except KafkaException:
                    # So it says that it takes nothing any more, such as one that may not write.
                    self._replace(producer)
            if not producers:
                self._closing.wait(_POLL_S)
