"""Starts the services that the page needs and that are missing, and stops them afterwards."""

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


class ServiceError(Exception):
    """A service did not start; the text names the service and the reason."""


@contextmanager
def running_services() -> Iterator[None]:
    """Starts a broker and replicas if they do not run, and creates missing topics.

    After the context, the services that were started are stopped. The local cluster keeps its
    messages.

    Raises:
        ServiceError, ClusterError: a service did not start.
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
            # A second Ctrl-C must not leave processes behind.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            if started:
                _report("stopping the replicas")
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
        _report("stopping Kafka; its messages are kept")
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
        lines = (done.stderr or done.stdout).strip().splitlines() or ["it has no output"]
        raise ServiceError(f"{words[0]}: {lines[-1]}".replace("error: ", "", 1))
    _report(f"python -m {' '.join(words)}: done")


def _report(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
