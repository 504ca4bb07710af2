"""Our builder image turns a class that knows nothing of Kafka into a worker between two topics."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from seldon_kafka import __version__
from tests.image import s2i
from tests.image.conftest import NewContainer, in_container, require_python
from tests.image.container import SCRIPT
from tests.support.endpoints import rows_of_json
from tests.support.image_bases import builder
from tests.support.image_engine import build, docker
from tests.support.patience import promised
from tests.support.stream import Stream

pytestmark = [
    pytest.mark.full,
    pytest.mark.xdist_group("images"),
    pytest.mark.timeout(900),
]

NewStream = Callable[..., Stream]

SOURCE = Path(__file__).parent / "text"
TEXTS = ["an input", "good day", "good input"]
STOP_S = 5


@pytest.fixture(scope="module")
def our_builder(working_tree: Path) -> str:
    """The tag of our builder image, built on the stand-in for Seldon's."""
    require_python("3.8")
    ours = "local/stream-builder:3.8"
    build("builder/Dockerfile", working_tree, ours, BUILDER=builder("3.8"))
    return ours


@pytest.fixture(scope="module")
def text_image(our_builder: str) -> str:
    """The classifier of texts, built by s2i with our builder."""
    s2i.build(SOURCE, our_builder, "local/text:0.1")
    return "local/text:0.1"


def test_a_text_classifier_answers_between_topics_and_over_rest(
    text_image: str, new_stream: NewStream, new_container: NewContainer
) -> None:
    stream = new_stream(partitions=3)
    container = new_container(text_image, SCRIPT, **in_container(stream), KAFKA_WORKERS="2")
    values = [json.dumps({"data": {"ndarray": [text]}}).encode() for text in TEXTS]
    stream.send(values * 20)
    replies = stream.replies(60)
    found = {
        int(dict(reply.headers)["seq"] or b"-1") % 3: rows_of_json(reply.value or b"")
        for reply in replies
    }
    for place, value in enumerate(values):
        assert np.allclose(found[place], container.over_rest(value))
    assert [int(np.argmax(found[place])) for place in range(2)] == [0, 1]
    assert container.terminate() < promised(STOP_S)
    assert container.exit_code == 0
    assert stream.lag() == 0


def test_the_image_has_the_command_and_nothing_called_kafka(text_image: str) -> None:
    said = docker("run", "--rm", "--entrypoint", "seldon-kafka", text_image, "--version")
    assert said == f"seldon-kafka {__version__}\n"
    with pytest.raises(AssertionError, match="No module named 'kafka'"):
        docker("run", "--rm", "--entrypoint", "python", text_image, "-c", "import kafka")


def refused(source: Path, our_builder: str) -> str:
    """The line with which a build fails."""
    with pytest.raises(AssertionError) as failure:
        s2i.build(source, our_builder, "local/text:refused")
    (line,) = [each for each in str(failure.value).splitlines() if each.startswith("error: ")]
    return line


def test_requirements_that_the_runtime_does_not_go_with_fail_the_build(
    our_builder: str, tmp_path: Path
) -> None:
    source = shutil.copytree(SOURCE, tmp_path / "text")
    with (source / "requirements.txt").open("a") as file:
        file.write("confluent-kafka==2.2.0\n")
    line = refused(source, our_builder)
    assert "the source's requirements conflict with the runtime" in line
    assert "confluent-kafka" in line


def test_a_source_in_whose_folder_the_runtime_cannot_start_fails_the_build(
    our_builder: str, tmp_path: Path
) -> None:
    source = shutil.copytree(SOURCE, tmp_path / "text")
    (source / "confluent_kafka.py").write_text("")
    line = refused(source, our_builder)
    assert "the runtime can't start" in line
    assert "confluent_kafka" in line
