"""The report shows the command, the day and the revision of each part."""

from __future__ import annotations

from pathlib import Path

from bench.figures import Figures
from bench.report import write_report


def test_each_part_names_its_own_day_and_revision(tmp_path: Path) -> None:
    facts = {
        "command peers": "python -m bench --only peers",
        "date peers": "2026-01-02",
        "revision peers": "abcdef0",
        "command drain": "python -m bench --only drain",
        "date drain": "2026-01-03",
        "revision drain": "abcdef1",
    }
    output = write_report(Figures(facts), tmp_path).read_text("utf-8").splitlines()
    assert "python -m bench --only peers  # 2026-01-02, abcdef0" in output
    assert "python -m bench --only drain  # 2026-01-03, abcdef1" in output
