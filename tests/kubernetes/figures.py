"""Records the measurements of both runtimes, and writes their table to the document.

`python -m tests.kubernetes.figures` writes the table of the latest run to docs/kubernetes.md.
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
    """Rows of the table, by experiment; the file is written after each cell.

    A run of some tests keeps the other rows.
    """

    def __init__(self) -> None:
        self._record: dict[str, Any] = {"rows": {}, "runs": {}}
        if RECORD.exists():
            self._record |= json.loads(RECORD.read_text("utf-8"))

    def record(self, experiment: str, variant: str, value: str) -> None:
        """Records a cell, and the run that measured it."""
        print(f"{experiment} ({variant}): {value}")
        found = facts()
        self._record["facts"] = found
        run = f"{found['date']} at {found['revision']}"
        for part, cell in (("rows", value), ("runs", run)):
            self._record[part].setdefault(experiment, {})[variant] = cell
        RECORD.write_text(json.dumps(self._record, indent=1, ensure_ascii=False) + "\n", "utf-8")

    def record_verdict(self, experiment: str, variant: str, verdict: Verdict) -> None:
        """Records the results of a run, in the form of `COUNTS`."""
        counts = (verdict.lost, verdict.doubled, verdict.out_of_order)
        text = " / ".join(f"{count:,}" for count in counts)
        self.record(
            f"{experiment}, {verdict.sent:,} messages",
            variant,
            f"{text}, {verdict.slowest_s:.1f} s",
        )


def table(record: dict[str, Any]) -> str:
    """Returns the rows as Markdown."""
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
    for experiment, cells in record["rows"].items():
        lines.append(f"| {experiment} | {' | '.join(cells.get(name, '') for name in VARIANTS)} |")
    return "\n".join(lines)


def main() -> None:
    """Writes the table to the document."""
    found = table(json.loads(RECORD.read_text("utf-8")))
    text = DOCUMENT.read_text("utf-8")
    DOCUMENT.write_text(with_part(text, BEGIN, END, found), "utf-8")


if __name__ == "__main__":
    main()
