"""What the scenario measured, for both ways side by side, and the table of it in the document.

`python -m tests.kubernetes.figures` puts the table of the latest run into docs/kubernetes.md.
"""

from __future__ import annotations

import json
from typing import Any

from bench.facts import facts
from model.marked import with_part
from tests.kubernetes.rig import ROOT
from tests.kubernetes.traffic import Verdict

DOCUMENT = ROOT / "docs" / "kubernetes.md"
RECORD = ROOT / "docs" / "kubernetes.json"
BEGIN = "<!-- figures -->"
END = "<!-- end of figures -->"
COUNTS = "Of messages: lost / doubled / out of order, and the longest that one waited"
VARIANTS = ("native", "executor")
VERSIONS = "Kubernetes 1.34.4 on one node, Seldon Core 1.17.1, KEDA 2.20.2, metrics-server 0.9"


class Figures:
    """Rows of the table, by what was done; written down after each, so that none gets lost.

    A run of some of the tests leaves the other rows as they were.
    """

    def __init__(self) -> None:
        self._record: dict[str, Any] = {"rows": {}, "runs": {}}
        if RECORD.exists():
            self._record |= json.loads(RECORD.read_text("utf-8"))

    def note(self, what: str, variant: str, value: str) -> None:
        """Notes a cell, and the run that it is of."""
        print(f"{what} ({variant}): {value}")
        found = facts()
        self._record["facts"] = found
        run = f"{found['date']} at {found['revision']}"
        for part, cell in (("rows", value), ("runs", run)):
            self._record[part].setdefault(what, {})[variant] = cell
        RECORD.write_text(json.dumps(self._record, indent=1, ensure_ascii=False) + "\n", "utf-8")

    def note_verdict(self, what: str, variant: str, verdict: Verdict) -> None:
        """Notes what became of a run's messages, as `COUNTS` says."""
        counts = (verdict.lost, verdict.doubled, verdict.out_of_order)
        told = " / ".join(f"{count:,}" for count in counts)
        self.note(
            f"{what}, {verdict.sent:,} messages", variant, f"{told}, {verdict.slowest_s:.1f} s"
        )


def table(record: dict[str, Any]) -> str:
    """The rows as Markdown."""
    found = record["facts"]
    runs = sorted({run for cells in record["runs"].values() for run in cells.values()})
    lines = [
        f"Measured on {', '.join(runs)}: {VERSIONS}, Apache Kafka "
        f"{found['kafka']}, all on {found['cores']} cores of {found['processor']}, "
        f"{found['memory']}.",
        "",
        f"{COUNTS}.",
        "",
        f"| | {' | '.join(f'`{name}`' for name in VARIANTS)} |",
        "| --- | ---: | ---: |",
    ]
    for what, cells in record["rows"].items():
        lines.append(f"| {what} | {' | '.join(cells.get(name, '') for name in VARIANTS)} |")
    return "\n".join(lines)


def main() -> None:
    """Writes the table."""
    found = table(json.loads(RECORD.read_text("utf-8")))
    text = DOCUMENT.read_text("utf-8")
    DOCUMENT.write_text(with_part(text, BEGIN, END, found), "utf-8")


if __name__ == "__main__":
    main()
