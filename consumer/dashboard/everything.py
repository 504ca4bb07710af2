"""What the page needs to show something, started where it is missing and stopped afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kafka.cluster.address import cluster_folder, running_bootstrap
from kafka.cluster.local import Cluster
from kafka.cluster.settings import local_settings
from kafka.cluster.view import LiveProgress
from kafka.replicas.registry import Registry

ROOT = Path(__file__).resolve().parents[2]


class EverythingError(Exception):
    """A part did not start; the message says which, and why."""


@contextmanager
def everything() -> Iterator[None]:
    """A broker, the topics and replicas: those that are there, else new ones for as long.

    Records of a local cluster are kept when it is stopped.

    Raises:
        EverythingError, ClusterError: A part does not start.
    """
    with _broker() as broker:
        settings = local_settings({**os.environ, "KAFKA_BROKER": broker})
        _run("seldon_kafka", "topics", "create", broker=broker)
        started = Registry(settings).address() is None
        if started:
            _run("kafka.replicas", "up", broker=broker)
        try:
            yield
        finally:
            # A second Ctrl-C must not leave anything behind.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            if started:
                _say("stopping the replicas")
                _run("kafka.replicas", "down", broker=broker, may_fail=True)


@contextmanager
def _broker() -> Iterator[str]:
    found = os.environ.get("KAFKA_BROKER") or running_bootstrap()
    if found:
        yield found
        return
    with LiveProgress() as progress:
        cluster = Cluster.start(cluster_folder(), progress=progress)
    try:
        yield cluster.bootstrap
    finally:
        _say("stopping Kafka; its records are kept")
        cluster.down()


def _run(*words: str, broker: str, may_fail: bool = False) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=ROOT,
        env={**os.environ, "KAFKA_BROKER": broker},
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
    )
    if done.returncode and not may_fail:
        said = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
        raise EverythingError(f"{words[0]}: {said[-1]}".replace("error: ", "", 1))
    _say(f"python -m {' '.join(words)}: done")


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
