"""Messages that can't be answered, for those who want to see what becomes of them."""

from __future__ import annotations

import math

SPOILED: tuple[bytes, ...] = (
    b"this is no image",
    b'{"data":{"ndarray":[[' + b",".join([b"0"] * 756) + b"]]}}",
    b'{"data":{"ndarray":[[NaN]]}}',
    b'{"strData":"hello"}',
)
"""Values: not JSON, pixels missing, no number, no picture at all."""

CONTENT_TYPE = "application/json"


def is_spoiled(number: int, share: float) -> bool:
    """Whether the message of this number is one of those, evenly spread over all.

    Args:
        number: From 0 on.
        share: Of all messages, from 0 to 1.
    """
    return math.floor((number + 1) * share) > math.floor(number * share)
