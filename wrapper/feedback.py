"""Takes what Seldon's `/send-feedback` gets, over REST and gRPC, and hands it on to its topic."""

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
    """Feedback that can't be handed on just now; Seldon's server answers it with status 503."""

    def __init__(self, message: str) -> None:
        super().__init__(message, status_code=503, reason="feedback_not_kept")

    def __str__(self) -> str:
        """The message; the base class has none here, and gRPC errors would be blank."""
        return str(self.message)


class TakesFeedback:
    """A class of Seldon's that hands feedback on, if `KAFKA_BROKER` is set.

    Seldon's server counts the reward in its metrics, whatever becomes of the rest.
    """

    def __init__(self) -> None:
        super().__init__()
        self._writer: Optional[FeedbackWriter] = None
        self._preparing = threading.Lock()

    def send_feedback_raw(self, feedback: Any) -> SeldonMessage:
        """Take feedback; Seldon's server calls this for both of its transports.

        Args:
            feedback: A `seldon.protos.Feedback`. Without a `puid` in its response or request one
                is made of the request.

        Returns:
            An empty message with the `puid`. Without `KAFKA_BROKER` that is all that is done.

        Raises:
            BadPayload: It makes no sense.
            FeedbackNotKept: The brokers, or the settings, don't let it be kept; it may be sent
                again.
        """
        try:
            settings = load_settings()
            given = _read(feedback, settings.max_message_bytes)
            if settings.broker:
                self._hand_on(given, settings)
        except BadFeedback as error:
            raise BadPayload("bad_feedback", str(error)) from error
        except SettingsError as error:
            # Whoever sends feedback need not be told of the settings.
            log.error("feedback is lost: %s", error)
            raise FeedbackNotKept(
                "feedback can't be kept: the server's settings are wrong, see its log"
            ) from error
        return SeldonMessage(meta=Meta(puid=given.puid))

    def _hand_on(self, feedback: Feedback, settings: Settings) -> None:
        # Here and not above: a server that gets no feedback does without the Kafka client.
        from seldon_kafka import FeedbackWriter, NotWritten

        with self._preparing:
            if self._writer is None:
                self._writer = FeedbackWriter(settings)
        try:
            self._writer.send(feedback)
        except NotWritten as error:
            log.error("feedback is lost: %s", error)
            raise FeedbackNotKept(f"feedback can't be kept: {error}") from error


def _read(message: Any, max_bytes: int) -> Feedback:
    try:
        size = message.ByteSize()
        if size > max_bytes:
            raise BadFeedback(f"it has {size} bytes, more than the {max_bytes} allowed")
        document: Dict[str, Any] = json_format.MessageToDict(message)
    # Of numbers and types that JSON has not, by which part of the message they are in.
    except (json_format.Error, ValueError, TypeError, RecursionError) as error:
        raise BadFeedback(f"it can't be written as JSON: {error}") from error
    return feedback_of(document, int(1000 * time.time()))
