"""Commands that the page runs: bounded, and ended when they are told to."""

from __future__ import annotations

import threading

import pytest

from consumer.dashboard import loads as loads_module
from consumer.dashboard.console import Console, Program
from consumer.dashboard.fleet import Action, Say
from consumer.dashboard.loads import MOST_AT_ONCE, Load, Loads
from seldon_kafka.config.settings import load_settings
from tests.support.stream import wait_until

LOAD = Load(count=10, rate=1.0, wire_format="ndarray", bad=0.0)
FOR_EVER = ["http.server", "0", "--bind", "127.0.0.1"]


def test_a_program_that_waits_for_its_turn_never_begins_once_it_was_stopped() -> None:
    said: list[str] = []
    program = Program(FOR_EVER)
    program.interrupt()
    assert program.run(said.append) == 130
    assert said == ["stopped before it began"]
    assert program.over


def test_a_program_that_runs_ends_when_it_is_told_to() -> None:
    program = Program(FOR_EVER)
    serving = threading.Event()
    statuses: list[int] = []

    def say(line: str) -> None:
        serving.set()

    thread = threading.Thread(target=lambda: statuses.append(program.run(say)))
    thread.start()
    assert serving.wait(30)
    over = [program.over]
    program.end()
    thread.join(30)
    assert [*over, program.over] == [False, True]
    assert len(statuses) == 1


def test_what_can_not_be_started_is_over_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    console, program = Console(), Program(["producer"])
    assert console.run(program.action).result(30) == 1
    assert "error: " in console.entries[-1].output
    assert program.over


def test_more_loads_than_leave_room_for_other_commands_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stopped = threading.Event()

    class Waiting(Program):
        """A load that sends nothing."""

        @property
        def action(self) -> Action:
            return Action("waits", self.run)

        def _run(self, say: Say) -> int:
            stopped.wait(30)
            return 0

        def interrupt(self) -> None:
            stopped.set()

    monkeypatch.setattr(loads_module, "Program", Waiting)
    console = Console()
    loads = Loads(console, load_settings({"KAFKA_BROKER": "127.0.0.1:1"}))
    for _ in range(MOST_AT_ONCE):
        loads.start(LOAD)
    with pytest.raises(ValueError, match="4 loads run already; stop them"):
        loads.start(LOAD)
    assert console.run(Action("another command", lambda say: 0)).result(30) == 0
    loads.stop()
    wait_until(lambda: loads.running == 0, 30, "all loads have ended")
    console.close()
