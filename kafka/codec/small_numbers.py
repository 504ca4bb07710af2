"""Whole numbers from 0 to 255 read from JSON text, for many messages at once."""

from __future__ import annotations

from typing import Any, Optional, Sequence

import numpy as np
from numpy.typing import NDArray

DIGITS = b"0123456789"
# Text that is looked at in one piece: what is computed of it stays in a core's cache.
_PIECE_BYTES = 128 * 1024


def read_small_numbers(
    texts: Sequence[bytes], numbers_a_text: int, *, spaces: bool
) -> Optional[NDArray[np.uint8]]:
    """The numbers in JSON arrays of known brackets and commas.

    Args:
        texts: arrays, each with room for `numbers_a_text` numbers: without its digits each is the
            text of an array that was parsed before, so that nothing but digits is to be checked.
        numbers_a_text: how many numbers each holds.
        spaces: whether there are spaces between the commas and the numbers.

    Returns:
        uint8 (texts, numbers_a_text); None if anything is not a number from 0 to 255, as JSON
        writes it.
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


def _read(text: bytes, spaces: bool) -> Optional[NDArray[Any]]:
    digits = np.frombuffer(text, np.uint8) - np.uint8(ord("0"))
    is_digit = digits < 10
    # An array ends with a bracket, so the byte before a number's first is never another text's
    # digit, and each last digit has a byte behind it.
    ends = np.flatnonzero(is_digit[:-1] & ~is_digit[1:])
    if not ends.size:
        return None
    if spaces and (is_digit[:-1] & (digits[1:] == np.uint8((ord(" ") - ord("0")) % 256))).any():
        # Else two numbers with a space between them could pass for one.
        return None
    # The first number's third digit to the left may lie before the text: then it is taken from
    # the text's end, which is no digit.
    ones, tens, hundreds = digits[ends], digits[ends - 1], digits[ends - 2]
    has_tens = tens < 10
    has_hundreds = has_tens & (hundreds < 10)
    tens *= has_tens
    hundreds *= has_hundreds
    if hundreds.max() > 2 or (has_hundreds & (digits[ends - 3] < 10)).any():
        return None
    values = hundreds * np.uint16(100)
    values += tens * np.uint8(10)
    values += ones
    if values.max() > 255:
        return None
    leading_zero = (has_tens & (values < 10)) | (has_hundreds & (values < 100))
    return None if leading_zero.any() else values
