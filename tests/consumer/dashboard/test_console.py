"""Commands of the page: their number is limited, and they end when they are stopped."""

from __future__ import annotations

import threading

import pytest

from consumer.dashboard import loads as loads_module
from consumer.dashboard.console import Console, Program
from consumer.dashboard.fleet import Action, Output
from consumer.dashboard.loads import MOST_AT_ONCE, Load, Loads
from seldon_kafka.config.settings import load_settings
from tests.support.stream import wait_until

LOAD = Load(count=10, rate=1.0, wire_format="ndarray", bad=0.0)
ENDLESS = ["http.server", "0", "--bind", "127.0.0.1"]


def test_a_stopped_program_never_starts() -> None:
    lines: list[str] = []
    program = Program(ENDLESS)
    program.interrupt()
    assert program.run(lines.append) == 130
    assert lines == ["stopped before it started"]
    assert program.has_ended


def test_a_running_program_can_be_ended() -> None:
    program = Program(ENDLESS)
    serving = threading.Event()
    statuses: list[int] = []

    def output(line: str) -> None:
        serving.set()

    thread = threading.Thread(target=lambda: statuses.append(program.run(output)))
    thread.start()
    assert serving.wait(30)
    ended = [program.has_ended]
    program.end()
    thread.join(30)
    assert [*ended, program.has_ended] == [False, True]
    assert len(statuses) == 1


def test_a_program_that_cannot_start_has_ended_with_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    console, program = Console(), Program(["producer"])
    assert console.run(program.action).result(30) == 1
    assert "error: " in console.entries[-1].output
    assert program.has_ended


def test_the_number_of_loads_leaves_threads_for_other_commands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stopped = threading.Event()

    class Waiting(Program):
        """A load that sends nothing."""

        @property
        def action(self) -> Action:
            return Action("waits", self.run)

        def _run(self, output: Output) -> int:
            stopped.wait(30)
            return 0

        def interrupt(self) -> None:
            stopped.set()

    monkeypatch.setattr(loads_module, "Program", Waiting)
    console = Console()
    loads = Loads(console, load_settings({"KAFKA_BROKER": "127.0.0.1:1"}))
    for _ in range(MOST_AT_ONCE):
        loads.start(LOAD)
    with pytest.raises(ValueError, match="4 loads are running; stop them"):
        loads.start(LOAD)
    assert console.run(Action("another command", lambda output: 0)).result(30) == 0
    loads.stop()
    wait_until(lambda: loads.running == 0, 30, "all loads have ended")
    console.close()
