"""Receives feedback through Seldon's `/send-feedback`, and writes it to the feedback topic."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any, Dict, Optional

from google.protobuf import json_format
from seldon_core.flask_utils import SeldonMicroserviceException
from seldon_core.proto.prediction_pb2 import Meta, SeldonMessage

from seldon_kafka import (
    BadFeedback,
    Feedback,
    Settings,
    SettingsError,
    feedback_of,
    load_settings,
)
from wrapper.payload import BadPayload

if TYPE_CHECKING:
    from seldon_kafka import FeedbackWriter

log = logging.getLogger("wrapper.feedback")


class FeedbackNotKept(SeldonMicroserviceException):  # type: ignore[misc]
    """Feedback cannot be stored at the moment; Seldon's server answers with status 503."""

    def __init__(self, message: str) -> None:
        super().__init__(message, status_code=503, reason="feedback_not_kept")

    def __str__(self) -> str:
        """Returns the message; without this method gRPC errors would be empty."""
        return str(self.message)


class FeedbackReceiver:
    """A Seldon class that writes feedback to the feedback topic if `KAFKA_BROKER` is set.

    Seldon's server counts the rewards in its metrics, whether or not the feedback is written.
    """

    def __init__(self) -> None:
        super().__init__()
        self._writer: Optional[FeedbackWriter] = None
        self._lock = threading.Lock()

    def send_feedback_raw(self, feedback: Any) -> SeldonMessage:
        """Receives feedback; Seldon's server calls this method for REST and gRPC.

        Args:
            feedback: a `seldon.protos.Feedback`. If its response and request have no `puid`, one is
                derived from the request.

        Returns:
            An empty message with the `puid`. Without `KAFKA_BROKER` nothing is written.

        Raises:
            BadPayload: the feedback is not valid.
            FeedbackNotKept: the feedback could not be written to the topic, or the settings are
                wrong. The sender may send the feedback again.
        """
        try:
            settings = load_settings()
            parsed = _parse(feedback, settings.max_message_bytes)
            if settings.broker:
                self._write(parsed, settings)
        except BadFeedback as error:
            raise BadPayload("bad_feedback", str(error)) from error
        except SettingsError as error:
            # The reply does not show the server's settings to senders.
            log.error("feedback was not stored: %s", error)
            raise FeedbackNotKept(
                "feedback cannot be stored: the server's settings are wrong, see its log"
            ) from error
        return SeldonMessage(meta=Meta(puid=parsed.puid))

    def _write(self, feedback: Feedback, settings: Settings) -> None:
        # The import is here so that a server without feedback does not load the Kafka client.
        from seldon_kafka import FeedbackWriter, NotWritten

        with self._lock:
            if self._writer is None:
                self._writer = FeedbackWriter(settings)
        try:
            self._writer.send(feedback)
        except NotWritten as error:
            log.error("feedback was not stored: %s", error)
            raise FeedbackNotKept(f"feedback cannot be stored: {error}") from error


def _parse(message: Any, max_bytes: int) -> Feedback:
    try:
        size = message.ByteSize()
        if size > max_bytes:
            raise BadFeedback(f"it has {size} bytes, more than the {max_bytes} allowed")
        document: Dict[str, Any] = json_format.MessageToDict(message)
    # JSON does not have some values, such as NaN. Which error they raise depends on the field.
    except (json_format.Error, ValueError, TypeError, RecursionError) as error:
        raise BadFeedback(f"it can't be written as JSON: {error}") from error
    return feedback_of(document, int(1000 * time.time()))
