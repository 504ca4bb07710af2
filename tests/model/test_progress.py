"""The display of a training's progress."""

import io

from rich.console import Console

from model.progress import Progress


def shown(*, terminal: bool, done: int = 0) -> str:
    """Returns the output for three epochs of a run of 60."""
    screen = Console(file=io.StringIO(), force_terminal=terminal, width=80, color_system=None)
    with Progress("accurate-0123456789ab", 60, 195, done, screen) as progress:
        for accuracy in (0.5, None, 0.9875):
            assert progress.follow(iter([1.0, 2.0])) == 1.5
            progress.epoch_done(1.5, accuracy)
    assert isinstance(screen.file, io.StringIO)
    return screen.file.getvalue()


def test_a_log_has_a_line_for_each_epoch_with_the_last_measured_accuracy() -> None:
    assert shown(terminal=False, done=7).splitlines() == [
        "accurate-0123456789ab: epoch 8/60, loss 1.5000, accuracy 50.00%",
        "accurate-0123456789ab: epoch 9/60, loss 1.5000, accuracy 50.00%",
        "accurate-0123456789ab: epoch 10/60, loss 1.5000, accuracy 98.75%",
    ]


def test_the_progress_fits_into_80_columns_of_a_terminal() -> None:
    message = shown(terminal=True, done=57)
    last = message.replace("\r", "\n").rstrip("\n\x1b[?25h").splitlines()[-1]
    assert "accurate-0123456789ab" in message
    assert "epoch 60/60, loss 1.5000, accuracy 98.75%" in last
    assert "11121/11700" in last
    assert "…" not in last
