"""Shows the progress of a training run: a bar on a terminal, elsewhere a line for each epoch."""

from collections.abc import Iterator
from types import TracebackType
from typing import Any

import rich.progress
from rich.console import Console


class Progress:
    """Shows the epochs of one run, as a context manager.

    Args:
        name: name of the run.
        epochs: number of epochs in the run.
        steps: number of steps in an epoch.
        done: number of epochs in the last checkpoint.
        screen: console for the output.
    """

    def __init__(self, name: str, epochs: int, steps: int, done: int, screen: Console) -> None:
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
        """Runs an epoch's steps, and returns the mean of their losses."""
        losses = []
        for loss in steps:
            losses.append(float(loss))
            self._bar.advance(self._task)
        return sum(losses) / max(1, len(losses))

    def epoch_done(self, loss: float, accuracy: float | None) -> None:
        """Shows the loss and the accuracy of an epoch.

        Args:
            loss: mean loss of the epoch's steps.
            accuracy: validation accuracy from 0 to 1; None shows the last accuracy again.
        """
        self._epoch += 1
        if accuracy is not None:
            self._accuracy = f", accuracy {accuracy:.2%}"
        text = f"epoch {self._epoch}/{self._epochs}, loss {loss:.4f}{self._accuracy}"
        if self._screen.is_terminal:
            self._bar.update(self._task, description=text)
        else:
            self._screen.print(f"{self._name}: {text}", soft_wrap=True, highlight=False)
