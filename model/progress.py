"""Shows how a training run goes: a bar where somebody looks, a line an epoch elsewhere."""

from collections.abc import Iterator
from types import TracebackType
from typing import Any

import rich.progress
from rich.console import Console


class Progress:
    """Follows the epochs of one run."""

    def __init__(self, name: str, epochs: int, steps: int, done: int, screen: Console) -> None:
        """Begin at the epochs that are done already.

        Args:
            name: The run's.
            epochs: Of the whole run.
            steps: Of an epoch.
            done: Epochs that a checkpoint holds.
            screen: Where it is shown.
        """
        self._screen, self._name, self._epochs, self._epoch = screen, name, epochs, done
        self._bar = rich.progress.Progress(
            rich.progress.TextColumn("{task.description}"),
            rich.progress.BarColumn(bar_width=10),
            rich.progress.MofNCompleteColumn(),
            rich.progress.TimeRemainingColumn(elapsed_when_finished=True),
            console=screen,
            disable=not screen.is_terminal,
        )
        self._task = self._bar.add_task(
            f"epoch {done}/{epochs}", total=epochs * steps, completed=done * steps
        )
        self._accuracy = ""

    def __enter__(self) -> "Progress":
        if self._screen.is_terminal:
            self._screen.print(self._name, highlight=False)
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def follow(self, steps: Iterator[Any]) -> float:
        """Do an epoch's steps; returns the mean of their losses."""
        losses = []
        for loss in steps:
            losses.append(float(loss))
            self._bar.advance(self._task)
        return sum(losses) / max(1, len(losses))

    def epoch_done(self, loss: float, accuracy: float | None) -> None:
        """Tell what an epoch brought."""
        self._epoch += 1
        if accuracy is not None:
            self._accuracy = f", accuracy {accuracy:.2%}"
        said = f"epoch {self._epoch}/{self._epochs}, loss {loss:.4f}{self._accuracy}"
        if self._screen.is_terminal:
            self._bar.update(self._task, description=said)
        else:
            self._screen.print(f"{self._name}: {said}", soft_wrap=True, highlight=False)
