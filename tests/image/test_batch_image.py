"""The image of a batch runs the producer and the consumer, and holds no local Kafka."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.image.conftest import require_python
from tests.support.image_bases import python_base
from tests.support.image_engine import build, docker

pytestmark = [
    pytest.mark.full,
    pytest.mark.xdist_group("images"),
    pytest.mark.timeout(900),
]


@pytest.fixture(scope="module")
def batch_image(working_tree: Path) -> str:
    require_python("3.11")
    tag = "local/batch:3.11"
    build("batch/Dockerfile", working_tree, tag, PYTHON_IMAGE=python_base("3.11"))
    return tag


@pytest.mark.parametrize("command", ["producer", "consumer"])
def test_a_command_runs(batch_image: str, command: str) -> None:
    said = docker("run", "--rm", batch_image, "python", "-m", command, "--help")
    assert "--run NAME" in said


def test_without_brokers_a_command_says_which_variable_names_them(batch_image: str) -> None:
    with pytest.raises(AssertionError, match="set KAFKA_BROKER=host:port"):
        docker("run", "--rm", batch_image, "python", "-m", "producer", "--samples")


def test_nothing_in_it_is_called_kafka(batch_image: str) -> None:
    with pytest.raises(AssertionError, match="No module named 'kafka'"):
        docker("run", "--rm", batch_image, "python", "-c", "import kafka")
