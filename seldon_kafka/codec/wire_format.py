"""What a wire format is to the pipeline."""

from __future__ import annotations

from typing import Any, Callable, List, NamedTuple, Optional, Protocol, Sequence

from seldon_kafka.messages import Headers, Payload, Prediction


class ManyReplies(Protocol):
    """Writes the replies to messages whose rows make up one prediction."""

    def write(
        self, payload: Payload, start: int, each: int, puids: Sequence[bytes]
    ) -> Optional[List[bytes]]:
        """The replies to alike messages; None where they have to be written by `encode`.

        Args:
            payload: what they have in common.
            start: the first one's first row in the prediction.
            each: how many rows each has.
            puids: of each message, as JSON text without the quotes.
        """


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
