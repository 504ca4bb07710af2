"""Prints the outcome of a run, and writes the tables of docs/faults.md.

`python -m tests.faults.report RUN.json … SOAK.json` writes the tables from saved outcomes.
"""

from __future__ import annotations

import collections
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

from model.marked import with_part
from tests.faults.catalogue import FAULTS
from tests.faults.checker import Verdict
from tests.faults.fault import Injection
from tests.faults.outcome import Figures, Outcome
from tests.faults.soak import Growth, Soak

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "faults.md"
BEGIN = "<!-- runs -->"
END = "<!-- end of runs -->"

_FAULT_HEAD = ("fault", "alone", "mixed", "longest stall", "promised", "longest recovery")
_HEAD = ("faults injected", "messages", "lost", "doubled", "out of order", "wrong", "longest stall")


def show(outcome: Outcome) -> None:
    """Prints the tables, and after a failure the seed and the first failures."""
    console = _console()
    table = Table(title="Faults", title_justify="left")
    for name in _FAULT_HEAD:
        table.add_column(name, justify="left" if name == "fault" else "right")
    for row in rows(outcome):
        table.add_row(*row)
    console.print(table)
    for name, why in outcome.impossible.items():
        console.print(f"impossible here: {name}: {why}")
    totals = Table(title="Messages", title_justify="left")
    for name in _HEAD:
        totals.add_column(name, justify="right")
    totals.add_row(*total(outcome))
    console.print(totals)
    for line in figures(outcome):
        console.print(line)
    if outcome.failures:
        console.print(f"FAILED with seed {outcome.seed}:", style="bold red")
        for failure in outcome.failures[:20]:
            console.print(f"  {failure}", markup=False)
    else:
        late = missed(outcome)
        console.print(kept(outcome.seed, late), style="bold yellow" if late else "bold green")


def missed(outcome: Outcome) -> list[str]:
    """Returns descriptions of the promised stalls that were exceeded by faults alone."""
    return [
        f"{fault.name} held readers up for {stall_s:.1f} s, not {fault.stall_s:.0f} s"
        for fault in FAULTS
        if fault.stall_s is not None
        and (stall_s := _longest_alone_s(outcome, fault.name)) > fault.stall_s
    ]


def kept(seed: int, late: Sequence[str]) -> str:
    """Returns the last line of a run without failures, with the promises that it kept.

    Args:
        seed: seed of the run.
        late: result of `missed`.
    """
    if not late:
        return f"every promise was kept (seed {seed})"
    return (
        "no message was lost, doubled, reordered or wrong, but promised stalls were exceeded: "
        f"{'; '.join(late)} (seed {seed})"
    )


def _longest_alone_s(outcome: Outcome, fault: str) -> float:
    alone = [e.stall_s for e in outcome.injections if e.fault == fault and e.mixed_with is None]
    return max(alone, default=0.0)


def _console() -> Console:
    console = Console()
    # A file or a pipe has no width, so the tables get theirs.
    return console if console.is_terminal else Console(width=120)


def show_soak(found: Soak) -> None:
    """Prints the result of a soak."""
    console = _console()
    for line in soak_lines(found):
        console.print(line)


def soak_lines(found: Soak) -> list[str]:
    """Returns the result of a soak as lines of Markdown."""
    rate = found.messages / found.seconds
    head = ("process", "after the warm-up", "in the end", "slope")
    lines = [
        f"{found.messages:,} messages in {found.seconds:,.0f} s, {rate:,.0f} a second",
        "",
        _row(head),
        _rule(len(head)),
    ]
    for each in found.growth:
        memory = (f"{each.first_mib:.1f} MiB", f"{each.last_mib:.1f} MiB")
        lines.append(_row((each.process, *memory, f"{each.slope_mib_per_hour:+.2f} MiB an hour")))
    return lines


def rows(outcome: Outcome) -> Iterator[tuple[str, ...]]:
    """Yields a row for each fault, with its injections and its longest stall."""
    found: dict[str, list[Injection]] = collections.defaultdict(list)
    for injection in outcome.injections:
        found[injection.fault].append(injection)
    for fault in FAULTS:
        injections = found.get(fault.name, [])
        if not injections:
            continue
        alone = [each for each in injections if each.mixed_with is None]
        # Mixed faults share a stall, so only faults alone show what each one costs.
        counted = alone or injections
        yield (
            fault.name,
            str(len(alone)),
            str(len(injections) - len(alone)),
            _stall(max(each.stall_s for each in counted), fault.stall_s if alone else None),
            "" if fault.stall_s is None else f"{fault.stall_s:.0f} s",
            f"{max(each.took_s for each in counted):.1f} s",
        )


def _stall(stall_s: float, promised_s: float | None) -> str:
    late = promised_s is not None and stall_s > promised_s
    return f"{stall_s:.1f} s (missed)" if late else f"{stall_s:.1f} s"


def total(outcome: Outcome) -> tuple[str, ...]:
    """Returns the row of the table of messages."""
    verdict = outcome.verdict
    longest = max((each.stall_s for each in outcome.injections), default=0.0)
    return (
        str(len(outcome.injections)),
        f"{verdict.messages:,}",
        str(verdict.lost),
        str(verdict.doubled),
        str(verdict.out_of_order),
        str(verdict.wrong),
        f"{longest:.1f} s",
    )


def figures(outcome: Outcome) -> list[str]:
    """Returns the figures of the stream, a line each."""
    found, verdict = outcome.figures, outcome.verdict
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(verdict.reasons.items()))
    return [
        f"drain rate {found.drain_rate:,.0f} messages a second; load {found.load_rate:,.0f} a "
        f"second ({found.load_rate / found.drain_rate:.0%}) for {found.load_s:,.0f} s"
        + (f", and {found.rested_s:,.0f} s of rest for backlogs" if found.rested_s >= 1 else ""),
        f"{found.partitions} partitions, {found.replicas} replicas, "
        f"{found.batch_messages:.1f} messages in a batch",
        f"{verdict.replies:,} replies and {verdict.letters:,} dead letters ({reasons or 'none'})",
        f"group offsets at the end of {found.partitions - verdict.uncommitted} of "
        f"{found.partitions} partitions",
        f"SIGTERM to exit: {found.left_after_s:.1f} s at most",
    ]


def markdown(outcomes: Sequence[Outcome]) -> str:
    """Returns the tables of runs as Markdown."""
    lines = []
    for outcome in outcomes:
        lines += [f"## Seed {outcome.seed}", "", _row(_HEAD), _rule(len(_HEAD))]
        lines += [_row(total(outcome)), ""]
        lines += [f"- {line}" for line in figures(outcome)]
        lines += ["", _row(_FAULT_HEAD), _rule(len(_FAULT_HEAD))]
        lines += [*(_row(row) for row in rows(outcome)), ""]
        for name, why in outcome.impossible.items():
            lines.append(f"- impossible on this machine: {name}: {why}")
        lines += [f"- missed: {line}" for line in missed(outcome)]
        lines += [f"- FAILED: {failure}" for failure in outcome.failures]
    return "\n".join(lines) + "\n"


def main(files: Sequence[str]) -> None:
    """Writes the tables of saved outcomes into docs/faults.md."""
    outcomes, soaks = [], []
    for file in files:
        found = orjson.loads(Path(file).read_bytes())
        if "growth" in found:
            soaks.append(Soak(**{**found, "growth": [Growth(**each) for each in found["growth"]]}))
        else:
            outcomes.append(_outcome(found))
    text = markdown(outcomes)
    for each in soaks:
        text += "\n".join(["", "## Soak", "", *soak_lines(each), ""])
    page = with_part(DOCUMENT.read_text("utf-8"), BEGIN, END, text.removesuffix("\n"))
    DOCUMENT.write_text(page, "utf-8")


def _outcome(found: dict[str, Any]) -> Outcome:
    return Outcome(
        **{
            **found,
            "injections": [Injection(**each) for each in found["injections"]],
            "figures": Figures(**found["figures"]),
            "verdict": Verdict(**found["verdict"]),
        }
    )


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _rule(columns: int) -> str:
    return f"| --- {'| ---: ' * (columns - 1)}|"


if __name__ == "__main__":
    main(sys.argv[1:])
