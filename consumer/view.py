"""The live view in the terminal, which shows images with their labels."""

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

from consumer.answers import Answer, Label
from consumer.half_blocks import blank, half_blocks
from consumer.score import Score
from consumer.summary import summary
from seldon_kafka.messages import InputPosition

_CAPTION = 16  # columns beside each picture
_TICK_S = 0.125
_READING_SHARE = 5  # the pause after a drawing is at least this many times its duration
_DEAD_SHOWN = 3
_OTHER_LINES = 4 + _DEAD_SHOWN  # lines of the terminal that are not for cards
_PICTURE_WAIT_S = 1.5


class Pictures(Protocol):
    """A source of the images of inputs."""

    def request(self, position: InputPosition) -> None:
        """Requests the images of an input, without waiting for them."""

    def result(self, position: InputPosition) -> tuple[bool, NDArray[np.uint8] | None]:
        """Returns the state of a request.

        Returns:
            Whether the request is finished, and the images of the input. The images are None before
            the end of the request, and if the input has none or could not be fetched.
        """


@dataclass
class _Card:
    """An image and its label, as the view shows them.

    Attributes:
        answer: the reply with the label.
        label: label of the image.
        row: index of the image in its message.
        latency_ms: latency of the reply, in ms; None if unknown.
        requested_s: time at which the image was requested, in seconds of `time.monotonic`; 0 before
            the request.
        picture: the drawn image; None before the image was fetched, or if it can't be fetched.
    """

    answer: Answer
    label: Label
    row: int
    latency_ms: float | None
    requested_s: float
    picture: Text | None = None


class View:
    """Shows the latest answers, as many as fit into the terminal.

    If answers arrive too fast, the view leaves out some of them, so that a person can see each
    image that it shows.

    Args:
        console: the console of a terminal.
        score: counts for the summary line.
        pictures: the source of images.
        title: the first line of the view.
    """

    def __init__(self, console: Console, score: Score, pictures: Pictures, title: str) -> None:
        self._console = console
        self._score = score
        self._pictures = pictures
        self._title = title
        self._side, self._across, self._down = _layout(console.width, console.height)
        self._cards: list[_Card | None] = [None] * (self._across * self._down)
        self._next = 0
        self._waiting: deque[_Card] = deque(maxlen=len(self._cards))
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
        # After an end without error, the view shows the answers that still wait for their image.
        deadline = time.monotonic() + _PICTURE_WAIT_S
        while error is None and (self._waiting or self._loading) and time.monotonic() < deadline:
            self.tick(at_once=True)
            time.sleep(0.02)
        # The caller prints the final summary below the view.
        self._live.update(self._frame(with_summary=False), refresh=True)
        self._live.stop()

    def show(self, answer: Answer, latency_ms: float | None) -> None:
        """Queues the images of a reply, or keeps a dead letter; a later tick shows them.

        If the queue is full, its oldest image is dropped.
        """
        if answer.dead:
            self._dead.append(answer)
        for row, label in enumerate(answer.labels[: len(self._cards)]):
            self._waiting.append(_Card(answer, label, row, latency_ms, 0.0))

    def tick(self, at_once: bool = False) -> None:
        """Draws the view again, unless it was drawn shortly before.

        Args:
            at_once: whether to draw the view in any case.
        """
        now = time.monotonic()
        if not at_once and now < self._next_tick:
            return
        # Only a third of the cards changes at a time, so that a person can see the others.
        for _ in range(1 + len(self._cards) // 3):
            if self._waiting and len(self._loading) < len(self._cards):
                self._request(self._waiting.popleft(), now)
        while self._loading and self._is_loaded(self._loading[0], now):
            self._cards[self._next] = self._loading.popleft()
            self._next = (self._next + 1) % len(self._cards)
        self._live.update(self._frame(), refresh=True)
        drawn = time.monotonic()
        # Large terminals are drawn less often, so that most of the time is left for reading.
        self._next_tick = drawn + max(_TICK_S, _READING_SHARE * (drawn - now))

    def _request(self, card: _Card, now: float) -> None:
        card.requested_s = now
        if card.answer.input_position is not None:
            self._pictures.request(card.answer.input_position)
        self._loading.append(card)

    def _is_loaded(self, card: _Card, now: float) -> bool:
        if card.answer.input_position is None:
            return True
        finished, images = self._pictures.result(card.answer.input_position)
        if finished and images is not None and card.row < len(images):
            card.picture = half_blocks(images[card.row], self._side)
        return finished or now > card.requested_s + _PICTURE_WAIT_S

    def _frame(self, with_summary: bool = True) -> RenderableType:
        grid = Table.grid(padding=(0, 2, 0, 0))
        for start in range(0, len(self._cards), self._across):
            row = self._cards[start : start + self._across]
            if start:
                grid.add_row()
            grid.add_row(*(self._draw(card) for card in row))
        summary_line = Text(summary(self._score, None), no_wrap=True, overflow="ellipsis")
        dead = [
            Text(f"dead: {letter.reason}: {letter.message}", "red", no_wrap=True)
            for letter in self._dead
        ]
        title = Text(self._title, "bold", no_wrap=True, overflow="ellipsis")
        return Group(title, Text(), grid, *dead, *([summary_line] if with_summary else []))

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
    """Returns the layout for a terminal.

    Args:
        width: width of the terminal, in characters.
        height: height of the terminal, in lines.

    Returns:
        Width of a drawn image in pixels, number of cards in a row, and number of rows.
    """
    for side, least in ((28, 4), (14, 1)):
        across = max(1, width // (side + _CAPTION + 3))
        down = max(1, (height - _OTHER_LINES) // (side // 2 + 1))
        if across * down >= least:
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
