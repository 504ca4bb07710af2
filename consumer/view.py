"""The live view: pictures beside what they were taken for."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from consumer.answers import Answer, Label, Place
from consumer.half_blocks import blank, half_blocks
from consumer.score import Score
from consumer.summary import summary

_CAPTION = 16  # columns beside each picture
_TICK_S = 0.125
_READING_SHARE = 5  # times as long as drawing
_DEAD_SHOWN = 3
_OTHER_LINES = 4 + _DEAD_SHOWN
_PICTURE_WAIT_S = 1.5


class Pictures(Protocol):
    """Where the pixels of inputs come from."""

    def want(self, place: Place) -> None:
        """Ask for an input."""

    def take(self, place: Place) -> tuple[bool, NDArray[np.uint8] | None]:
        """Whether it has come, and its images."""


@dataclass
class _Card:
    """One image and what it was taken for."""

    answer: Answer
    label: Label
    row: int
    latency_ms: float | None
    asked_s: float
    picture: Text | None = None


class View:
    """Shows the latest answers, as many as the terminal holds.

    Under load it shows some of them, each long enough to be looked at.
    """

    def __init__(self, console: Console, score: Score, pictures: Pictures, title: str) -> None:
        """Prepare the view.

        Args:
            console: A terminal.
            score: Read for the line of figures.
            pictures: Where pixels come from.
            title: What is being read.
        """
        self._console = console
        self._score = score
        self._pictures = pictures
        self._title = title
        self._side, self._across, self._down = _layout(console.width, console.height)
        self._cards: list[_Card | None] = [None] * (self._across * self._down)
        self._next = 0
        self._fresh: deque[_Card] = deque(maxlen=len(self._cards))
        self._loading: deque[_Card] = deque()
        self._dead: deque[Answer] = deque(maxlen=_DEAD_SHOWN)
        self._next_tick = 0.0
        self._live = Live(console=console, auto_refresh=False)

    def __enter__(self) -> View:
        self._live.start()
        self.tick(at_once=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # The last answers deserve to be seen, and their pictures to arrive.
        deadline = time.monotonic() + _PICTURE_WAIT_S
        while error is None and (self._fresh or self._loading) and time.monotonic() < deadline:
            self.tick(at_once=True)
            time.sleep(0.02)
        # The whole summary is printed below.
        self._live.update(self._frame(with_figures=False), refresh=True)
        self._live.stop()

    def show(self, answer: Answer, latency_ms: float | None) -> None:
        """Take an answer in; it is drawn at a later tick, unless others push it out."""
        if answer.dead:
            self._dead.append(answer)
        for row, label in enumerate(answer.labels[: len(self._cards)]):
            self._fresh.append(_Card(answer, label, row, latency_ms, 0.0))

    def tick(self, at_once: bool = False) -> None:
        """Draw anew, if it is time to."""
        now = time.monotonic()
        if not at_once and now < self._next_tick:
            return
        # A third of the cards at a time: the others stay to be looked at.
        for _ in range(1 + len(self._cards) // 3):
            if self._fresh and len(self._loading) < len(self._cards):
                self._ask(self._fresh.popleft(), now)
        while self._loading and self._has_come(self._loading[0], now):
            self._cards[self._next] = self._loading.popleft()
            self._next = (self._next + 1) % len(self._cards)
        self._live.update(self._frame(), refresh=True)
        drawn = time.monotonic()
        # A large terminal is drawn less often, so that reading keeps most of the time.
        self._next_tick = drawn + max(_TICK_S, _READING_SHARE * (drawn - now))

    def _ask(self, card: _Card, now: float) -> None:
        card.asked_s = now
        if card.answer.place is not None:
            self._pictures.want(card.answer.place)
        self._loading.append(card)

    def _has_come(self, card: _Card, now: float) -> bool:
        if card.answer.place is None:
            return True
        come, images = self._pictures.take(card.answer.place)
        if come and images is not None and card.row < len(images):
            card.picture = half_blocks(images[card.row], self._side)
        return come or now > card.asked_s + _PICTURE_WAIT_S

    def _frame(self, with_figures: bool = True) -> RenderableType:
        grid = Table.grid(padding=(0, 2, 0, 0))
        for start in range(0, len(self._cards), self._across):
            row = self._cards[start : start + self._across]
            if start:
                grid.add_row()
            grid.add_row(*(self._draw(card) for card in row))
        figures = Text(summary(self._score, None), no_wrap=True, overflow="ellipsis")
        dead = [
            Text(f"dead: {letter.reason}: {letter.message}", "red", no_wrap=True)
            for letter in self._dead
        ]
        title = Text(self._title, "bold", no_wrap=True, overflow="ellipsis")
        return Group(title, Text(), grid, *dead, *([figures] if with_figures else []))

    def _draw(self, card: _Card | None) -> RenderableType:
        cell = Table.grid(padding=(0, 1, 0, 0))
        cell.add_column(width=self._side)
        cell.add_column(width=_CAPTION)
        if card is None:
            cell.add_row(blank(self._side), "")
            return cell
        cell.add_row(card.picture or blank(self._side), _caption(card))
        return cell


def _layout(width: int, height: int) -> tuple[int, int, int]:
    """Pixels of a picture's side, cards in a row, and rows, for a terminal of this size."""
    for side, enough in ((28, 4), (14, 1)):
        across = max(1, width // (side + _CAPTION + 3))
        down = max(1, (height - _OTHER_LINES) // (side // 2 + 1))
        if across * down >= enough:
            break
    return side, across, down


def _caption(card: _Card) -> Text:
    label = card.label
    truth = card.answer.truth[card.row] if card.row < len(card.answer.truth) else None
    style = "bold" if truth is None else "bold green" if truth == label.name else "bold red"
    lines = [
        Text.assemble((f"{label.hiragana} {label.name}".strip(), style)),
        Text(f"{100 * label.confidence:.1f} %" + (" abstains" if label.abstain else "")),
    ]
    if label.outlier:
        lines.append(Text("outlier", "yellow"))
    if truth is not None and truth != label.name:
        lines.append(Text(f"truth {truth}", "red"))
    lines.append(Text(card.answer.worker, "dim"))
    if card.latency_ms is not None:
        lines.append(Text(f"{card.latency_ms:.0f} ms", "dim"))
    for line in lines:
        line.truncate(_CAPTION, overflow="ellipsis")
    return Text("\n").join(lines)
