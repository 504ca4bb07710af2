"""Runs the measured systems, which are this runtime and its peers, as separate processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.cluster import ROOT, BenchCluster, BenchError

CLASS = "wrapper.KmnistClassifier"
PEERS = ("seldon_rest", "quix", "faust", "faststream", "plain")
ENVIRONMENTS = ROOT / ".venv-bench"
_PEER_FOLDER = ROOT / "bench" / "peers"
_LEAVE_WITHIN_S = 15.0


@dataclass(frozen=True)
class Topics:
    """Topics and consumer group of a system."""

    source: str
    replies: str
    dead_letters: str
    group: str


@dataclass(frozen=True)
class Runtime:
    """This runtime.

    Attributes:
        workers: number of processes, with one worker each.
        processing: `exactly_once` or `at_least_once`.
        class_name: module and name of the user model.
        settings: further environment variables.
        python: path of the Python interpreter.
        root: folder of the runtime's checkout.
    """

    workers: int = 1
    processing: str = "exactly_once"
    class_name: str = CLASS
    settings: Mapping[str, str] | None = None
    python: Path = Path(sys.executable)
    root: Path = ROOT

    def commands(
        self, cluster: BenchCluster, topics: Topics, format_name: str, folder: Path
    ) -> Iterator[tuple[list[str], dict[str, str], Path]]:
        """Yields command, environment and working folder of each process."""
        for number in range(self.workers):
            environment = {
                **_without_kafka(os.environ),
                "KAFKA_BROKER": cluster.bootstrap,
                "KAFKA_INPUT_TOPIC": topics.source,
                "KAFKA_OUTPUT_TOPIC": topics.replies,
                "KAFKA_DEAD_LETTER_TOPIC": topics.dead_letters,
                "KAFKA_GROUP_ID": topics.group,
                "KAFKA_PROCESSING": self.processing,
                "KAFKA_WORKER_ID": f"{topics.group}-{number}",
                "KAFKA_STATE_DIR": str(folder),
                "PROMETHEUS_MULTIPROC_DIR": str(folder),
                **(self.settings or {}),
            }
            # Revisions before 0.2.0 have the runtime in a folder called kafka.
            is_package = (self.root / "seldon_kafka").is_dir()
            worker = ["seldon_kafka", "worker"] if is_package else ["kafka.worker"]
            yield [str(self.python), "-m", *worker, self.class_name], environment, self.root


@dataclass(frozen=True)
class Peer:
    """Another system of `bench/peers`.

    Attributes:
        name: name of the peer's folder, and of its environment.
        class_name: module and name of the user model, for `seldon_rest`.
        python: path of the Python interpreter; None uses the peer's environment.
    """

    name: str
    class_name: str = CLASS
    python: Path | None = None

    def commands(
        self, cluster: BenchCluster, topics: Topics, format_name: str, folder: Path
    ) -> Iterator[tuple[list[str], dict[str, str], Path]]:
        """Yields command, environment and working folder of the peer's process."""
        # The repository's package `kafka` could hide a peer's package of the same name. So the peer
        # sees only two parts of the repository.
        visible = folder / "visible"
        visible.mkdir()
        (visible / "model").symlink_to(ROOT / "model")
        (visible / "bench_common.py").symlink_to(_PEER_FOLDER / "common.py")
        environment = {
            **_without_kafka(os.environ),
            "PYTHONPATH": str(visible),
            "BENCH_BROKER": cluster.bootstrap,
            "BENCH_INPUT_TOPIC": topics.source,
            "BENCH_OUTPUT_TOPIC": topics.replies,
            "BENCH_GROUP": topics.group,
            "BENCH_FORMAT": format_name,
            "BENCH_STATE": str(folder),
            "BENCH_CLASS": self.class_name,
        }
        python = self.python or ENVIRONMENTS / self.name / "bin" / "python"
        command = [str(python), str(_PEER_FOLDER / self.name / "app.py")]
        yield command, environment, folder


System = Runtime | Peer


def _without_kafka(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if not name.startswith("KAFKA_")}


@contextmanager
def running(
    system: System, cluster: BenchCluster, topics: Topics, format_name: str
) -> Iterator[list[psutil.Process]]:
    """Runs the processes of a system, and stops them at the end.

    Raises:
        BenchError: a process ended by itself.
    """
    started: list[subprocess.Popen[bytes]] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        try:
            for command, environment, where in system.commands(
                cluster, topics, format_name, folder
            ):
                log = folder / f"{len(started)}.log"
                with log.open("wb") as output:
                    started.append(
                        subprocess.Popen(
                            command,
                            env=environment,
                            cwd=where,
                            stdin=subprocess.DEVNULL,
                            stdout=output,
                            stderr=subprocess.STDOUT,
                            start_new_session=True,
                        )
                    )
            yield [psutil.Process(each.pid) for each in started]
            for number, each in enumerate(started):
                if each.poll() is not None:
                    raise BenchError(_exit_message(folder / f"{number}.log", each.returncode))
        finally:
            _end(started)


def _exit_message(log: Path, status: int) -> str:
    lines = log.read_text("utf-8", "replace").strip().splitlines()
    last = lines[-1] if lines else "no output"
    return f"a measured process ended with status {status}: {last}"


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.send_signal(signal.SIGTERM)
    give_up_at = time.monotonic() + _LEAVE_WITHIN_S
    for process in processes:
        try:
            process.wait(max(0.1, give_up_at - time.monotonic()))
        except subprocess.TimeoutExpired:
            # The process group includes the children of the process.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
