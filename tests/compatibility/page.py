"""The page `docs/compatibility.md`: its table is made of the intended differences."""

from __future__ import annotations

from pathlib import Path

from model.marked import with_part
from tests.compatibility.differences import DIFFERENCES

PAGE = Path(__file__).resolve().parents[2] / "docs" / "compatibility.md"
_BEGIN, _END = "<!-- differences -->", "<!-- end of differences -->"


def table() -> str:
    """A section for each difference."""
    return "\n\n".join(
        f"### {difference.id}\n\n"
        f"Where: {difference.when}.\n\n"
        f"| Seldon | this runtime |\n| --- | --- |\n"
        f"| {difference.seldon} | {difference.runtime} |\n\n"
        f"Why: {difference.reason}"
        for difference in DIFFERENCES
    )


def with_table(text: str) -> str:
    """The page's text with the differences as the tests have them."""
    return with_part(text, _BEGIN, _END, "\n" + table() + "\n")
