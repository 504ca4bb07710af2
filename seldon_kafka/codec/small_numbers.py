"""Reads whole numbers from 0 to 255 in JSON text, for many messages at once."""

from __future__ import annotations

from typing import Optional, Sequence

import numpy as np
from numpy.typing import NDArray

from seldon_kafka.messages import Array

DIGITS = b"0123456789"
_SPACE, _OPENING, _CLOSING = ((ord(sign) - ord("0")) % 256 for sign in " []")
# The size of one piece of text, so that intermediate arrays stay in a core's cache.
_PIECE_BYTES = 128 * 1024


def read_small_numbers(
    texts: Sequence[bytes], numbers_a_text: int, *, spaces: bool
) -> Optional[NDArray[np.uint8]]:
    """Reads the numbers of JSON arrays whose brackets and commas are known.

    Args:
        texts: arrays. Without digits, each is the text of an array that was parsed before, so only
            digits are checked. Spaces follow commas only.
        numbers_a_text: number of numbers in each text.
        spaces: whether spaces follow the commas.

    Returns:
        uint8 (texts, numbers_a_text); None if a value is no number from 0 to 255 in JSON.
    """
    block = np.empty((len(texts), numbers_a_text), np.uint8)
    at_once = max(1, _PIECE_BYTES // max(1, len(texts[0])))
    for start in range(0, len(texts), at_once):
        piece = texts[start : start + at_once]
        found = _read(b"".join(piece), spaces)
        if found is None or found.size != len(piece) * numbers_a_text:
            return None
        block[start : start + at_once] = found.reshape(len(piece), numbers_a_text)
    return block


def _read(text: bytes, spaces: bool) -> Optional[Array]:
    """Computes the number at every byte at once, and takes those where a number ends."""
    digits = np.frombuffer(text, np.uint8) - np.uint8(ord("0"))
    is_digit = digits < 10
    # A number ends before `,` or `]`, and begins after `[`, `,` or a space after a comma. Elsewhere
    # it would replace a missing number, in the same text or in another one.
    if (is_digit[:-1] & (digits[1:] == _OPENING)).any():
        return None
    if (is_digit[1:] & (digits[:-1] == _CLOSING)).any():
        return None
    if spaces and (is_digit[:-1] & (digits[1:] == _SPACE)).any():
        return None
    ends = np.flatnonzero(is_digit[:-1] > is_digit[1:])
    if not ends.size:
        return None
    # 1 where the byte is at least the first, second or third digit of a number.
    first = is_digit.view(np.uint8)
    second = first[1:] & first[:-1]
    third = second[1:] & second[:-1]
    has_leading_zero = (digits[:-1] < second)[1:] > is_digit[:-2]
    if has_leading_zero.any() or (third[1:] & third[:-1]).any():
        return None
    values = digits * first
    tens = values[:-1] * second
    hundreds = values[:-2] * third
    if hundreds.max() > 2:
        return None
    tens *= np.uint8(10)
    hundreds *= np.uint8(100)
    values[1:] += tens
    values[2:] += hundreds
    # uint8 overflows beyond 255.
    return None if (values[2:] < hundreds).any() else values.take(ends)
