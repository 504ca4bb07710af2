"""What a wire format is to the pipeline."""

from __future__ import annotations

from typing import Any, Callable, NamedTuple, Optional, Protocol

from kafka.messages import Headers, Payload, Prediction


class ManyReplies(Protocol):
    """Writes the replies to messages whose rows make up one prediction."""

    def write(self, payload: Payload, start: int, stop: int, puid: str) -> Optional[bytes]:
        """The reply with rows `start` to `stop`; None where it has to be written by `encode`."""


class WireFormat(NamedTuple):
    """One format of requests and replies.

    Attributes:
        name: for metrics and logs.
        decode: from the parsed JSON document, or the value's bytes for binary formats, to the
            payload; raises `Rejected`.
        encode: from the payload, the prediction and the message's `puid` to the reply's bytes.
        headers: the headers that describe the reply's value.
        writer: makes what `encode` makes for each of many messages that were answered in one
            call, quicker; or None where it can't.
    """

    name: str
    decode: Callable[[Any], Payload]
    encode: Callable[[Payload, Prediction, str], bytes]
    headers: Headers
    writer: Callable[[Prediction], Optional[ManyReplies]] = lambda prediction: None
