"""The interface between wire formats and the pipeline."""

from __future__ import annotations

from typing import Any, Callable, List, NamedTuple, Optional, Protocol, Sequence

from seldon_kafka.messages import Headers, Payload, Prediction


class ManyReplies(Protocol):
    """Encodes the replies to messages whose rows are in one prediction."""

    def write(
        self, payload: Payload, start: int, each: int, puids: Sequence[bytes]
    ) -> Optional[List[bytes]]:
        """Returns the replies to alike messages; None if `encode` must write them.

        Args:
            payload: their common payload.
            start: index of their first row in the prediction.
            each: number of rows of each message.
            puids: `puid` of each message, as JSON text without quotes.
        """


class WireFormat(NamedTuple):
    """One format of requests and replies.

    Attributes:
        name: its name in metrics and logs.
        decode: takes the parsed JSON document, or the bytes in binary formats, and returns the
            payload; raises `Rejected`.
        encode: takes the payload, the prediction and the `puid`, and returns the reply's bytes.
        headers: the headers that describe the reply's value.
        writer: takes the prediction of many messages and returns a faster encoder for them; None if
            there is none.
    """

    name: str
    decode: Callable[[Any], Payload]
    encode: Callable[[Payload, Prediction, str], bytes]
    headers: Headers
    writer: Callable[[Prediction], Optional[ManyReplies]] = lambda prediction: None
