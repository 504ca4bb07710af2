"""Why messages are rejected, or put off: stable words, and what to do about each."""

from __future__ import annotations

REASONS = {
    "bad_base64": "binData must be base64 text; encode the bytes again.",
    "bad_headers": "Kafka's header names are UTF-8 text; send them so.",
    "bad_image": "The bytes are no readable PNG or JPEG image of the kind the class takes.",
    "bad_payload": "The class refused the payload; its message says why.",
    "bad_prediction": "The class answered with NaN, infinity or a shape that can't be sent.",
    "bad_shape": "Send the shape that the message asks for.",
    "bad_value": "A value is missing, of the wrong type or out of range; the message says which.",
    "empty": "The message has no bytes; send a payload.",
    "image_too_large": "The picture has more pixels than the class takes; make it smaller.",
    "invalid_utf8": "JSON is UTF-8 text; encode it so.",
    "no_payload": "JSON without data, binData, strData, jsonData, inputs or instances.",
    "not_finite": "The class takes no NaN, null or Infinity; send numbers.",
    "not_json": "The bytes are no JSON; mend them, or say by content-type what they are.",
    "not_protobuf": "The bytes are not the message that proto-name says.",
    "predict_failed": "The class raised; mend the class, then replay.",
    "ragged": "Rows differ in length; send a rectangular array.",
    "reply_refused": "The output topic's broker refuses the reply; the message says why.",
    "reply_too_large": "The reply is larger than the output topic takes; send fewer rows.",
    "retries_exhausted": "It alone kept failing with a temporary error; replay it later.",
    "tombstone": "The value is null; the input topic takes requests only.",
    "too_deep": "Arrays may be nested 32 deep.",
    "too_large": "Send fewer rows in a message, or raise KAFKA_MAX_MESSAGE_BYTES.",
    "undecodable": "The runtime can't decode this payload, though it should; please report it.",
    "unknown_content_type": "Use one of the content types that the message lists.",
    "unknown_proto_name": "proto-name must be seldon.protos.SeldonMessage.",
    "unreadable": "No part of it could be had; send it again, in smaller or other batches.",
    "unsupported": "The format allows it, but not here; the message says what is taken.",
    "worker_crash": "A worker died each time it had this message in hand; look at its log.",
}


class Rejected(Exception):
    """A message can't be answered because of what its sender put into it.

    Args:
        reason: a key of `REASONS`.
        message: what is wrong, in words that the sender can act on.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class Retriable(Exception):
    """The class met a temporary error; no message is to blame.

    Args:
        message: the text of the error.
        retry_after_s: seconds to wait that the error asks for; 0 if it asks none.
    """

    def __init__(self, message: str, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
