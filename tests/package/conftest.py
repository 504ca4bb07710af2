"""The wheel, environments with it, and the broker's fixtures."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.broker.conftest import bootstrap, cluster, name, new_stream, new_topic
from tests.support.package_environments import build, with_prepared_packages

__all__ = ["bootstrap", "cluster", "name", "new_stream", "new_topic"]

_MODEL = """\
import storage
import messages
from kafka import KafkaProducer


class Mine:
    row_wise = True
    producer = KafkaProducer
    told = storage.WHERE + messages.WHAT

    def predict(self, X, names):
        return X * 2
"""


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel, beside the newest of what user models bring."""
    return with_prepared_packages(tmp_path_factory.mktemp("environment") / "venv", wheel)


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """The folder of somebody's own code, some of it named as this repository's is."""
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "model.py").write_text(_MODEL, "utf-8")
    (folder / "storage.py").write_text("WHERE = 'here'\n", "utf-8")
    (folder / "messages.py").write_text("WHAT = 'this'\n", "utf-8")
    (folder / "request.json").write_text('{"data":{"ndarray":[[1,2,3]]}}', "utf-8")
    return folder
