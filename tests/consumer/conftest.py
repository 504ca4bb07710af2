"""Fixtures of the tests of the dashboard's Kubernetes backend: a cluster with its API server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.kubernetes_rig import Rig, Start, starting


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    with starting(tmp_path, monkeypatch) as begin:
        yield begin


@pytest.fixture
def rig(start: Start) -> Rig:
    return start()
