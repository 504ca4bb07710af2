"""The broker's tests run on a broker in a container, as on the local cluster."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kafka.cluster.distribution import get_distribution
from kafka.cluster.progress import Progress
from tests.image.conftest import require_python
from tests.support.image_bases import python_base
from tests.support.image_engine import ROOT, docker

pytestmark = [
    pytest.mark.full,
    pytest.mark.xdist_group("images"),
    pytest.mark.timeout(900),
]

FOLDER = Path(__file__).parent / "kafka"
TESTS = [
    "tests/broker/test_worker.py::test_replies_carry_key_headers_and_timestamp_of_their_message",
    "tests/broker/test_worker.py::test_repeated_kills_of_one_of_two_workers_lose_and_double_no_message",
]


@pytest.fixture(scope="module")
def kafka_image(engine: None, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image that stands for Apache Kafka's own."""
    require_python("3.8")
    folder = tmp_path_factory.mktemp("kafka-image")
    distribution = get_distribution(folder / "cluster", Progress())
    shutil.copytree(distribution.java.parent.parent, folder / "java")
    (folder / "kafka").mkdir()
    for jar in distribution.class_path.split(os.pathsep):
        shutil.copy2(jar, folder / "kafka")
    for name in ("Dockerfile", "start"):
        shutil.copy2(FOLDER / name, folder)
    docker("build", "--build-arg", f"BASE={python_base('3.8')}", "-t", "local/kafka", folder)
    return "local/kafka"


def test_tests_of_workers_pass_on_a_broker_in_a_container(kafka_image: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *TESTS],
        cwd=ROOT,
        # No image of its own, to tidy up after others.
        env={
            **os.environ,
            "BROKER_IMAGE": kafka_image,
            "TESTCONTAINERS_RYUK_DISABLED": "true",
        },
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert ran.returncode == 0, ran.stdout[-4000:]
    assert f"{len(TESTS)} passed" in ran.stdout
