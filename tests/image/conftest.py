"""Images built on this machine's engine, and containers of them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.broker.conftest import bootstrap, cluster, name, new_stream, new_topic
from tests.image import s2i
from tests.image.container import Container
from tests.support.image_bases import builder, python_home, served
from tests.support.image_engine import ROOT, copy_source, engine_answers
from tests.support.stream import Stream

__all__ = ["bootstrap", "cluster", "name", "new_stream", "new_topic"]

NewContainer = Callable[..., Container]


def images_trouble() -> str:
    """Why images can't be built here, or nothing."""
    if not engine_answers():
        return "no Docker engine answers"
    if os.getuid() != 0 or shutil.which("mmdebstrap") is None:
        return "base images are made by root, with mmdebstrap"
    return ""


@pytest.fixture(scope="session")
def engine() -> None:
    """Leaves the tests out where images can't be built."""
    trouble = images_trouble()
    if trouble:
        pytest.skip(trouble)


@pytest.fixture(scope="session")
def working_tree(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a commit of the working tree would hold."""
    folder = tmp_path_factory.mktemp("source")
    copy_source(folder)
    return folder


@pytest.fixture(scope="session")
def by_dockerfile(working_tree: Path) -> Callable[[str], str]:
    """Builds the image for a version of Python by our Dockerfile, and says its tag."""

    def build(version: str) -> str:
        require_python(version)
        tag = f"local/kmnist:{version}-docker"
        served(version, working_tree, tag)
        return tag

    return build


@pytest.fixture(scope="session")
def by_s2i(working_tree: Path) -> str:
    """The tag of the image that s2i builds, with Python 3.8 as Seldon's builder has it."""
    require_python("3.8")
    tag = "local/kmnist:3.8-s2i"
    s2i.build(working_tree, builder("3.8"), tag)
    return tag


@pytest.fixture(scope="session")
def python38(by_dockerfile: Callable[[str], str]) -> str:
    """The tag of the image that our Dockerfile builds with Python 3.8."""
    return by_dockerfile("3.8")


@pytest.fixture(scope="session")
def python311(by_dockerfile: Callable[[str], str]) -> str:
    """The tag of the image that our Dockerfile builds with Python 3.11."""
    return by_dockerfile("3.11")


@pytest.fixture
def new_container(engine: None) -> Iterator[NewContainer]:
    """Starts containers that are removed after the test: `new_container(image, KAFKA_BROKER=…)`."""
    containers: list[Container] = []

    def start(image: str, *command: str, writable: bool = False, **environ: str) -> Container:
        containers.append(Container(image, environ, *command, writable=writable))
        containers[-1].await_ready()
        return containers[-1]

    yield start
    for container in containers:
        container.remove()


def require_python(version: str) -> None:
    """Leaves a test out where there is no such Python to make a base image of."""
    if python_home(version) is None:
        pytest.skip(f"pyenv has no Python {version}: {ROOT.name}'s image is not built with it")


def in_container(stream: Stream) -> dict[str, str]:
    """A stream's settings, but for a folder that a container does not have."""
    return {key: value for key, value in stream.environ.items() if key != "KAFKA_STATE_DIR"}
