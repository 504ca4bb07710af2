"""Formats tables and numbers in Markdown."""

from collections.abc import Iterator
from typing import Any


def header(*names: str) -> Iterator[str]:
    """Yields the first two lines of a table."""
    yield row(*names)
    yield row(*("---" for _ in names))


def row(*cells: str) -> str:
    """Returns a line of a table."""
    return f"| {' | '.join(cells)} |"


def percent(value: float) -> str:
    """Returns a share from 0 to 1 as a percentage with two digits."""
    return f"{value:.2%}".replace("%", " %")


def spread(rate: dict[str, Any]) -> str:
    """Returns minimum, median (bold) and maximum of whole numbers."""
    return f"{rate['minimum']:,} / **{rate['median']:,}** / {rate['maximum']:,}"
