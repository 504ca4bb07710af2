"""Tables and figures in Markdown."""

from collections.abc import Iterator
from typing import Any


def header(*names: str) -> Iterator[str]:
    """The first two lines of a table."""
    yield row(*names)
    yield row(*("---" for _ in names))


def row(*cells: str) -> str:
    """A line of a table."""
    return f"| {' | '.join(cells)} |"


def percent(value: float) -> str:
    """A share from 0 to 1 as a percentage of two digits."""
    return f"{value:.2%}".replace("%", " %")


def spread(rate: dict[str, Any]) -> str:
    """Minimum, median (bold) and maximum of whole numbers."""
    return f"{rate['minimum']:,} / **{rate['median']:,}** / {rate['maximum']:,}"
