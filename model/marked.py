"""Pages of which a part between two marks is written by a program."""

from __future__ import annotations


def with_part(text: str, begin: str, end: str, part: str) -> str:
    """A page with another part between its marks, each on a line of its own.

    Args:
        text: the page.
        begin: the mark before the part.
        end: the mark behind it.
        part: what stands between them from now on, without a line break at its end.
    """
    before, _, rest = text.partition(begin)
    return f"{before}{begin}\n{part}\n{end}{rest.partition(end)[2]}"
