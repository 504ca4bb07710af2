"""What a wire format is to the pipeline."""

from __future__ import annotations

from typing import Any, Callable, NamedTuple

from kafka.messages import Headers, Payload, Prediction


class WireFormat(NamedTuple):
    """One format of requests and replies.

    Attributes:
        name: for metrics and logs.
        decode: from the parsed JSON document, or the value's bytes for binary formats, to the
            payload; raises `Rejected`.
        encode: from the payload, the prediction and the message's `puid` to the reply's bytes.
        headers: the headers that describe the reply's value.
    """

    name: str
    decode: Callable[[Any], Payload]
    encode: Callable[[Payload, Prediction, str], bytes]
    headers: Headers
