"""Replicas that run as in the image, below each Python that is here, and the broker's fixtures."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.broker.conftest import bootstrap, cluster, name, new_stream, new_topic
from tests.support.image_replica import ROOT, Replica

__all__ = ["bootstrap", "cluster", "name", "new_stream", "new_topic"]

# The one that the Makefile installs into, else one that is ready by other means.
_INSTALLED = ROOT / ".venv-3.8" / "bin" / "python"
PYTHON38 = _INSTALLED if _INSTALLED.exists() else Path(os.environ.get("PYTHON38", _INSTALLED))
NewReplica = Callable[..., Replica]


@pytest.fixture(params=["this Python", "Python 3.8"])
def python(request: pytest.FixtureRequest) -> str:
    """An interpreter with what requirements.txt names; the image has Python 3.8."""
    if request.param == "this Python":
        return sys.executable
    if not PYTHON38.exists():
        pytest.skip("there is no Python 3.8 with the requirements: make environments")
    return str(PYTHON38)


@pytest.fixture
def new_replica(tmp_path: Path) -> Iterator[NewReplica]:
    """Starts replicas that are killed after the test: `new_replica(python, KAFKA_BROKER=…)`."""
    replicas: list[Replica] = []

    def start(python: str, **environ: str) -> Replica:
        log = tmp_path / f"replica-{len(replicas)}.log"
        replicas.append(Replica(python, log, environ))
        replicas[-1].await_ready()
        return replicas[-1]

    yield start
    for replica in replicas:
        replica.kill()
