"""Shows the score of the answers, as a line and as tables."""

from __future__ import annotations

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from consumer.labels import HIRAGANA
from consumer.score import Score


def summary(score: Score, sent: int | None) -> str:
    """Returns the summary of a score in one line.

    Args:
        score: counts of the answers.
        sent: number of messages that were sent to the input topic; None if unknown.
    """
    accuracy = "" if score.accuracy is None else f", accuracy {100 * score.accuracy:.2f} %"
    rate = "" if score.rate is None else f", {score.rate:.0f} msg/s"
    p50, p99 = score.latencies.percentile(50), score.latencies.percentile(99)
    latency = ""
    if p50 is not None and p99 is not None:
        latency = f", latency p50 {p50:.0f} ms, p99 {p99:.0f} ms"
    came_in = "" if sent is None else f"{sent} messages in, "
    return f"{came_in}{score.answered} answered, {score.dead} dead{accuracy}{rate}{latency}"


def show_score(score: Score, console: Console) -> None:
    """Prints the counts and the confusion matrix of a score."""
    console.print(_counts(score))
    if score.confusion:
        console.print(_confusion(score))


def _counts(score: Score) -> RenderableType:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(justify="right")
    rows = [
        (score.images, "images answered"),
        (score.known, "images with known truth"),
        (score.right, "images with the right label"),
        (score.abstained, "abstentions"),
        (score.outliers, "outliers: images of something else"),
        (score.duplicates, "duplicates"),
        (score.gaps, "gaps: unanswered inputs between answered inputs"),
        (score.out_of_order, "replies out of the order of their input partition"),
    ]
    if score.unreadable:
        rows.append((score.unreadable, "replies that cannot be read"))
    if score.without_position:
        rows.append((score.without_position, "messages that do not name their input"))
    for number, text in rows:
        table.add_row(str(number), text)
    reasons = (f"  {number} dead: {reason}" for reason, number in score.reasons.most_common())
    return Group(table, *(Text(line) for line in reasons))


def _confusion(score: Score) -> Table:
    known = list(HIRAGANA)
    others = sorted({name for pair in score.confusion for name in pair} - set(known))
    names = [name for name in (*known, *others) if any(name in pair for pair in score.confusion)]
    table = Table(title="truth by row, label by column", box=box.SIMPLE_HEAD)
    table.add_column()
    for name in names:
        table.add_column(_hiragana_and_romaji(name), justify="right")
    for truth in names:
        cells = []
        for label in names:
            number = score.confusion[truth, label]
            style = "green" if truth == label else "red"
            cells.append(Text(str(number), style) if number else Text("·", "dim"))
        table.add_row(_hiragana_and_romaji(truth), *cells)
    return table


def _hiragana_and_romaji(name: str) -> str:
    return f"{HIRAGANA.get(name, '')}{name}"
