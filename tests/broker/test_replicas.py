"""Replicas on this machine: their number, their restarts and their logs on the dashboard."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.patience import patient
from tests.support.stream import ROOT, Stream, assert_once_and_in_order, numbers, wait_until

NewStream = Callable[..., Stream]
LITE = {
    "KAFKA_SELDON_SERVER": "off",
    "MODEL_NAME": "tests.support.classes.Double",
    "REPLICAS_APP": str(ROOT),
}


class Commands:
    """Runs `python -m kafka.replicas` as a user does."""

    def __init__(self, stream: Stream, **environ: str) -> None:
        self._environ = {**stream.whole_environ, **LITE, **environ}

    def __call__(self, *arguments: str, status: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "kafka.replicas", *arguments],
            cwd=ROOT, env=self._environ, capture_output=True, text=True, check=False,
        )  # fmt: skip
        said = done.stdout + done.stderr
        assert done.returncode == status, said
        assert "Traceback" not in said
        return said

    def without(self, variable: str) -> None:
        del self._environ[variable]

    def status(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self("status", "--json"))
        return answer

    def starts(self, count: int) -> bool:
        """Returns whether a manager runs and has started this number of replicas."""
        try:
            return len(self.status()["replicas"]) == count
        except AssertionError:
            return False

    def ready(self) -> dict[str, int]:
        """Returns the process ids of the ready replicas, by name."""
        return {each["name"]: each["pid"] for each in self.status()["replicas"] if each["ready"]}

    def wait_until_ready(self, count: int) -> dict[str, int]:
        def there() -> bool:
            return len(self.ready()) == count == len(self.status()["replicas"])

        wait_until(there, 60, f"{count} ready replicas")
        return self.ready()


@pytest.fixture
def stream(new_stream: NewStream) -> Stream:
    return new_stream()


@pytest.fixture
def replicas(stream: Stream) -> Iterator[Commands]:
    commands = Commands(stream)
    commands("up")
    yield commands
    manager = commands.status()["pid"]
    family = psutil.Process(manager).children(recursive=True)
    commands("down")
    assert not psutil.pid_exists(manager)
    _, alive = psutil.wait_procs(family, timeout=patient(10))
    assert alive == []


def test_a_manager_answers_and_ends_while_its_replicas_are_not_ready(stream: Stream) -> None:
    waiting = {"KAFKA_INPUT_TOPIC": f"{stream.settings.input_topic}-that-is-not-there"}
    commands = Commands(stream, **waiting)
    manager = subprocess.Popen(
        [sys.executable, "-m", "kafka.replicas"],
        cwd=ROOT, env={**stream.whole_environ, **LITE, **waiting}, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    # The parent process has to notice its end.
    reaper = threading.Thread(target=manager.wait)
    reaper.start()
    try:
        wait_until(lambda: commands.starts(2), 30, "it tells of two that start")
        assert commands.ready() == {}
        commands("down")
        reaper.join(patient(10))
        assert manager.returncode == 0
    finally:
        manager.kill()
        reaper.join()


def test_a_killed_replica_is_replaced_and_no_message_is_lost(
    stream: Stream, replicas: Commands
) -> None:
    before = replicas.ready()
    assert set(before) == {"replica-1", "replica-2"}
    stream.send(numbers(300))
    assert "killed replica-1" in replicas("kill", "replica-1")
    stream.send(numbers(300))
    after = wait_until(
        lambda: (now := replicas.ready()) and len(now) == 2 and now != before and now,
        60,
        "a replica in its place",
    )
    assert after["replica-1"] != before["replica-1"]
    assert after["replica-2"] == before["replica-2"]
    (gone,) = replicas.status()["gone"]
    assert (gone["name"], gone["pid"]) == ("replica-1", before["replica-1"])
    assert "kill -9" in gone["why"]
    assert_once_and_in_order(stream.replies(600), 600)


def test_replicas_are_stopped_and_scaled(stream: Stream, replicas: Commands) -> None:
    replicas("scale", "--count", "3")
    first = replicas.wait_until_ready(3)
    replicas("stop", "replica-2")
    wait_until(lambda: replicas.status()["gone"], 20, "it left")
    assert replicas.status()["gone"][0]["why"] == "stopped on purpose"
    after = replicas.wait_until_ready(3)
    assert len(set(after.values()) - set(first.values())) == 1
    replicas("scale", "--minimum", "1", "--maximum", "1")
    left = wait_until(
        lambda: (now := replicas.status()["replicas"]) and len(now) == 1 and now, 20, "one is left"
    )
    # The newest replicas are stopped first.
    assert left[0]["pid"] == first["replica-1"]
    what = [event["what"] for event in replicas.status()["events"]]
    assert what.count("leaving") == 3
    assert what.count("started") == 4


@pytest.mark.full
def test_workers_follow_the_lag_up_and_down(stream: Stream) -> None:
    replicas = Commands(stream, MODEL_NAME="tests.support.classes.Slow", SLOW_S="0.02")
    replicas("up", "--count", "1")
    try:
        replicas(
            "scale", "--automatic", "--minimum", "1", "--maximum", "3", "--lag", "50",
            "--stabilisation", "2", "--polling-interval", "0.2",
        )  # fmt: skip
        stream.send(numbers(1500))
        replicas.wait_until_ready(3)
        assert_once_and_in_order(stream.replies(1500), 1500)
        replicas.wait_until_ready(1)
        assert replicas.status()["lag"] == 0
    finally:
        replicas("down")


def test_the_next_manager_takes_over_the_replicas_of_a_dead_one(replicas: Commands) -> None:
    before = replicas.ready()
    os.kill(replicas.status()["pid"], signal.SIGKILL)
    assert "python -m kafka.replicas up" in replicas("status", status=1)
    assert all(psutil.pid_exists(pid) for pid in before.values())
    replicas("up")
    assert replicas.wait_until_ready(2) == before
    events = replicas.status()["events"]
    assert [event["what"] for event in events if event["what"] != "ready"] == ["taken over"] * 2


def test_the_error_for_an_impossible_command_is_one_line(
    stream: Stream, replicas: Commands
) -> None:
    assert "there is no replica nobody" in replicas("kill", "nobody", status=1)
    assert "must be between 0 and the maximum of 2" in replicas(
        "scale", "--minimum", "5", "--maximum", "2", status=2
    )
    assert "run already" in replicas("--count", "1", status=1)
    assert "replica-1" in replicas("up")


def test_replicas_of_a_missing_class_do_not_start(stream: Stream, tmp_path: Path) -> None:
    replicas = Commands(stream, MODEL_NAME="no.such.Class")
    said = replicas("up", status=1)
    assert "no.such" in said
    assert "replica-" in said
    assert "python -m kafka.replicas up" in replicas("status", status=1)


def test_a_replica_runs_another_class_that_imports_kafka_python(
    stream: Stream, tmp_path: Path
) -> None:
    (site,) = (ROOT / ".venv-beside" / "lib").glob("python3.*/site-packages")
    app = tmp_path / "app"
    for each in site.glob("kafka*"):
        shutil.copytree(each, app / each.name)
    (app / "model.py").write_text(
        "from kafka import KafkaProducer\n\n\nclass Mine:\n"
        "    producer = KafkaProducer\n\n"
        "    def predict(self, X, names):\n        return X * 2\n",
        "utf-8",
    )
    replicas = Commands(stream, MODEL_NAME="model.Mine")
    replicas("up", "--count", "1", "--app", str(app))
    try:
        replicas.wait_until_ready(1)
        stream.send(numbers(20))
        assert_once_and_in_order(stream.replies(20), 20)
    finally:
        replicas("down")


def test_a_replica_of_this_repository_sees_only_the_packages_of_the_image(
    stream: Stream, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    environment = {"MODEL_NAME": "wrapper.KmnistClassifier", "KAFKA_STATE_DIR": str(state)}
    replicas = Commands(stream, **environment)
    replicas.without("REPLICAS_APP")
    replicas("up", "--count", "1")
    try:
        replicas.wait_until_ready(1)
        pid = replicas.status()["replicas"][0]["pid"]
        folder = Path(psutil.Process(pid).cwd())
        assert folder.parent == state
        assert {each.name for each in folder.iterdir()} == {
            ".s2i", "model", "requirements.txt", "wrapper",
        }  # fmt: skip
    finally:
        replicas("down")
