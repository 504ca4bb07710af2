"""Replaces the generated part of a page, between two marks."""

from __future__ import annotations


def with_part(text: str, begin: str, end: str, part: str) -> str:
    """Returns a page with another part between its marks, which are appended if it has none.

    Args:
        text: text of the page.
        begin: the mark before the part, a line of its own.
        end: the mark after the part, a line of its own.
        part: the new part, without a line break at its end.
    """
    before, _, rest = text.partition(begin)
    return f"{before}{begin}\n{part}\n{end}{rest.partition(end)[2]}"
