"""The interface between wire formats and the pipeline."""

from __future__ import annotations

from typing import Any, Callable, List, NamedTuple, Optional, Protocol, Sequence

from seldon_kafka.messages import Headers, Payload, Prediction


class ManyReplies(Protocol):
    """Encodes the replies to messages whose rows are in one prediction."""

    def write(
        self, payload: Payload, start: int, each: int, puids: Sequence[bytes]
    ) -> Optional[List[bytes]]:
        """Returns the replies to messages that differ only in their arrays.

        Returns None if `WireFormat.encode` must write these replies.

        Args:
            payload: common payload of the messages.
            start: index in the prediction of the first row of the first message.
            each: number of rows of each message.
            puids: `puid` of each message, as JSON text without quotes.
        """


class WireFormat(NamedTuple):
    """One format of requests and replies.

    Attributes:
        name: name of the format, in error messages.
        decode: takes the parsed JSON document, or the bytes in binary formats, and returns the
            payload; raises `Rejected`.
        encode: takes the payload, the prediction and the `puid`, and returns the reply's bytes.
        headers: the headers that describe the reply's value.
        writer: takes one prediction for the rows of many messages, and returns a faster encoder for
            their replies; or None if only `encode` can write them.
    """

    name: str
    decode: Callable[[Any], Payload]
    encode: Callable[[Payload, Prediction, str], bytes]
    headers: Headers
    writer: Callable[[Prediction], Optional[ManyReplies]] = lambda prediction: None
