"""A worker under the supervisor, as a process."""

from __future__ import annotations

import os
from pathlib import Path

import psutil

from seldon_kafka.supervisor.worker_slot import WorkerSlot
from tests.support.stream import wait_until

PARENT = """
import pathlib
import subprocess


class Parent:
    def load(self):
        child = subprocess.Popen(["sleep", "600"])
        written = pathlib.Path(__file__).with_name("unfinished")
        written.write_text(str(child.pid))
        written.rename(written.with_name("child"))

    def predict(self, X, names):
        return X
"""


def test_processes_that_a_worker_leaves_behind_end_with_it(tmp_path: Path) -> None:
    (tmp_path / "Parent.py").write_text(PARENT)
    written = tmp_path / "child"
    environ = {**os.environ, "KAFKA_BROKER": "127.0.0.1:1", "KAFKA_STATE_DIR": str(tmp_path)}
    environ["PYTHONPATH"] = os.pathsep.join((str(tmp_path), str(Path.cwd())))
    slot = WorkerSlot("Parent", 0, environ)
    slot.start()
    try:
        wait_until(written.exists, 60, "the class started a process")
        child = psutil.Process(int(written.read_text()))
        slot.stop()
        wait_until(slot.has_left, 60, "the worker ended")
        wait_until(lambda: not child.is_running(), 60, "the process ended")
    finally:
        slot.end()
