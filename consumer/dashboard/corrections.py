"""Writes corrected labels to the feedback topic, and reads them back.

A page shows a correction only after it was read from the topic. So all pages show the same, also
pages of other dashboards.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import closing
from typing import Any

import numpy as np
from confluent_kafka import KafkaException
from numpy.typing import NDArray

from consumer.dashboard.results import Result, ResultLog
from consumer.reader import Reader
from seldon_kafka.codec.feedback import BadFeedback, Feedback, read
from seldon_kafka.config.clients import consumer_config
from seldon_kafka.config.settings import Settings
from seldon_kafka.feedback.writer import FeedbackWriter
from seldon_kafka.messages import Record
from seldon_kafka.transport.consumed import record_of
from seldon_kafka.transport.snapshot import ReadError
from seldon_kafka.transport.topic_writer import NotWritten

log = logging.getLogger("consumer.dashboard")

_BATCH = 500
_POLL_S = 0.1
_RETRY_S = 2.0
_LAST = 2000
_TIMEOUT_S = 5.0


class Corrections:
    """Writes corrections, and reads the corrections of all users in a thread.

    Args:
        settings: topic and brokers.
        results: log that gets the corrected labels.
    """

    def __init__(self, settings: Settings, results: ResultLog) -> None:
        self._settings = settings
        self._results = results
        self._writer = FeedbackWriter(settings, _TIMEOUT_S)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="corrections", daemon=True)

    def start(self) -> None:
        """Starts the thread that reads."""
        self._thread.start()

    def close(self) -> None:
        """Stops the thread, and closes the producer."""
        self._closing.set()
        self._thread.join()
        self._writer.close()

    def correct(self, result: Result, truth: str, image: NDArray[np.uint8] | None) -> str:
        """Writes the right label of an image, and waits for the brokers' acknowledgement.

        Args:
            result: the result of the image.
            truth: the right label, in romaji.
            image: the image to store with the correction, uint8 (28, 28); None to store none.

        Returns:
            The text of the error; empty after success.
        """
        try:
            self._writer.send(feedback_on(result, truth, image, int(1000 * time.time())))
        except (BadFeedback, NotWritten) as error:
            return str(error)
        return ""

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self._read()
            except (ReadError, KafkaException):
                # Other panels of the page report missing topics and brokers.
                self._closing.wait(_RETRY_S)
            except Exception:
                log.exception("corrections can't be read")
                self._closing.wait(_RETRY_S)

    def _read(self) -> None:
        config: dict[str, Any] = consumer_config(
            self._settings, f"{self._settings.group_id}.dashboard"
        )
        with closing(Reader(config, [self._settings.feedback_topic], last=_LAST)) as reader:
            while not self._closing.is_set():
                for message in reader.read(_BATCH, _POLL_S):
                    self._take(record_of(message))

    def _take(self, record: Record) -> None:
        try:
            feedback = read(record, self._settings.max_message_bytes)
        except BadFeedback:
            return
        # Feedback on records of other topics does not concern this page.
        if feedback.position is None or feedback.position[0] != self._settings.input_topic:
            return
        for row, truth in enumerate(feedback.truth):
            if truth:
                self._results.correct((feedback.position, row), truth)


def feedback_on(
    result: Result, truth: str, image: NDArray[np.uint8] | None, given_ms: int
) -> Feedback:
    """Returns the feedback on one image of a reply.

    Args:
        result: the result of the image.
        truth: the right label.
        image: the image, uint8 (28, 28), or None. It becomes the request in the feedback if its
            message has only this image. A request must have all images of a message.
        given_ms: time of the feedback, in ms since 1970.
    """
    rows = max(1, len(result.answer.labels))
    truths = tuple(truth if row == result.row else "" for row in range(rows))
    request = None
    if rows == 1 and image is not None:
        request = {"data": {"ndarray": [image.tolist()]}}
    label = result.label
    reward = 1.0 if label is not None and label.name == truth else 0.0
    return Feedback(
        result.answer.puid, truths, reward, request, None, result.answer.input_position, given_ms
    )
