"""Each example does what its README says, from a copy outside of the repository."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from kafka.cluster.lease import leased
from tests.package.conftest import environment, wheel
from tests.support.package_environments import BESIDE, ROOT, run
from tests.support.patience import patient
from tests.support.stream import wait_until

__all__ = ["environment", "wheel"]

EXAMPLES = ROOT / "examples"
# One of them shows what the others rest on.
NAMES = [
    pytest.param("text-classifier"),
    pytest.param("transformer-chain", marks=pytest.mark.full),
    pytest.param("pandas-model", marks=pytest.mark.full),
    pytest.param("onnx-model", marks=pytest.mark.full),
]


class Walk:
    """Somebody who types what a README says."""

    def __init__(self, folder: Path, environment: Path, broker: str) -> None:
        self.folder = folder
        self.said = ""
        self.text = (folder / "README.md").read_text("utf-8")
        self._workers: list[subprocess.Popen[bytes]] = []
        self._environ = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("KAFKA_", "PYTHON"))
        }
        self._environ["PATH"] = f"{environment / 'bin'}:{self._environ['PATH']}"
        self._environ["KAFKA_BROKER"] = broker
        self._environ["KAFKA_STATE_DIR"] = str(folder / "state")

    def lines(self) -> Iterator[str]:
        for block in re.findall(r"```sh\n(.*?)```", self.text, re.DOTALL):
            yield from block.splitlines()

    def follow(self) -> None:
        for line in self.lines():
            if line.startswith(("pip install", "export KAFKA_BROKER=")):
                continue
            if "seldon-kafka worker" in line:
                self._workers.append(self._start(line))
                continue
            ran = subprocess.run(
                ["bash", "-ec", line],
                cwd=self.folder, env=self._environ, capture_output=True, text=True,
                timeout=patient(60), check=False,
            )  # fmt: skip
            assert ran.returncode == 0, f"{line}\n{ran.stdout}{ran.stderr}{self.log()}"
            if "consumer.py" in line:
                self.said = ran.stdout

    def _start(self, line: str) -> subprocess.Popen[bytes]:
        path = self.folder / f"worker-{len(self._workers)}.log"
        with path.open("wb") as log:
            worker = subprocess.Popen(
                ["bash", "-ec", f"exec env {line}"],
                cwd=self.folder, env=self._environ, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        wait_until(lambda: "reads partitions" in path.read_text("utf-8"), 60, "the worker reads")
        return worker

    def log(self) -> str:
        return "\n".join(path.read_text("utf-8") for path in self.folder.glob("worker-*.log"))

    def promised(self) -> list[str]:
        """The lines that the consumer prints, according to the README."""
        (block,) = re.findall(r"```text\n(.*?)```", self.text, re.DOTALL)
        return sorted(block.splitlines())

    def end(self) -> list[int]:
        for worker in self._workers:
            worker.send_signal(signal.SIGINT)
        return [worker.wait(patient(10)) for worker in self._workers]


@pytest.mark.parametrize("name", NAMES)
def test_an_example_does_what_its_readme_says(name: str, environment: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(EXAMPLES / name, tmp_path / name)
    with leased(tmp_path / "cluster") as cluster:
        walk = Walk(folder, environment, cluster.bootstrap)
        try:
            walk.follow()
            assert sorted(walk.said.splitlines()) == walk.promised(), walk.log()
        finally:
            statuses = walk.end()
    assert set(statuses) == {0}


@pytest.mark.parametrize("folder", sorted(EXAMPLES.glob("*/")), ids=lambda folder: folder.name)
def test_an_example_names_what_it_needs(folder: Path) -> None:
    lines = (folder / "requirements.txt").read_text("utf-8").splitlines()
    names = [Requirement(line).name for line in lines]
    assert names[0] == "seldon-kafka"
    run(BESIDE / "bin" / "python", "-m", "pip", "show", "--quiet", *names[1:] or ["pip"])
    assert f"]({folder.name})" in (EXAMPLES / "README.md").read_text("utf-8")
    assert len((folder / "README.md").read_text("utf-8").splitlines()) <= 60
