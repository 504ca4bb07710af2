"""The architecture page names every module of the runtime, and nothing that does not exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RUNTIME = ROOT / "seldon_kafka"
PAGE = ROOT / "docs" / "architecture.md"
DECISIONS = ROOT / "docs" / "decisions"


def listed() -> dict[str, set[str]]:
    """The modules in the table of rooms, by room; "" for those outside of a room."""
    table = PAGE.read_text("utf-8").split("## Rooms of")[1].split("\n## ")[0]
    rooms: dict[str, set[str]] = {}
    room = ""
    for line in re.findall(r"^\| .*\|$", table, re.MULTILINE)[2:]:
        first, modules = (cell.strip() for cell in line.split("|")[1:3])
        if first:
            room = "" if first == "(top)" else first.strip("`/")
        rooms.setdefault(room, set()).update(re.findall(r"`(\w+)`", modules))
    return rooms


def test_every_module_is_in_the_table_of_rooms_and_no_other() -> None:
    rooms = {
        folder.name: {path.stem for path in folder.glob("*.py")} - {"__init__"}
        for folder in RUNTIME.iterdir()
        if (folder / "__init__.py").exists()
    }
    rooms[""] = {path.stem for path in RUNTIME.glob("*.py")} - {"__init__", "__main__"}
    assert listed() == rooms


def test_every_file_that_the_page_names_exists() -> None:
    text = PAGE.read_text("utf-8")
    named = set(re.findall(r"`((?:seldon_kafka|tests|docs)/[\w./]+)`", text))
    named |= {f"docs/{link}" for link in re.findall(r"\]\(([\w./-]+)\)", text)}
    assert named
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_every_decision_is_in_the_list_of_decisions() -> None:
    linked = re.findall(r"\]\(([\w.-]+\.md)\)", (DECISIONS / "README.md").read_text("utf-8"))
    records = sorted(path.name for path in DECISIONS.glob("0*.md"))
    assert linked == records
    for name in records:
        links = re.findall(r"\]\((\.\./[\w./-]+)\)", (DECISIONS / name).read_text("utf-8"))
        assert [link for link in links if not (DECISIONS / link).exists()] == []
