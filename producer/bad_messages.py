"""Messages that are not valid, to show how the runtime rejects them."""

from __future__ import annotations

import math

BAD_VALUES: tuple[bytes, ...] = (
    b"this is no image",
    b'{"data":{"ndarray":[[' + b",".join([b"0"] * 756) + b"]]}}",
    b'{"data":{"ndarray":[[NaN]]}}',
    b'{"strData":"hello"}',
)
"""Message values with these faults, in this order: no JSON, too few pixels, NaN, no image."""

CONTENT_TYPE = "application/json"
"""The header `content-type` of all bad messages."""


def is_bad(number: int, share: float) -> bool:
    """Returns whether the message with this number is bad; bad messages are spread evenly.

    Args:
        number: number of the message, from 0.
        share: share of bad messages, from 0 to 1.
    """
    return math.floor((number + 1) * share) > math.floor(number * share)
