"""The image is the same however it is built, and runs with the rights that Kubernetes leaves it."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

from model.artefacts import FLOAT
from model.loader import FAST, load_classifier
from producer.bundled_samples import load_samples
from producer.formats import FORMATS, encode
from seldon_kafka import __version__
from tests.image.conftest import NewContainer, in_container
from tests.image.container import SCRIPT
from tests.support.endpoints import rows_of_json
from tests.support.image_engine import docker, inspect
from tests.support.image_replica import image_environment
from tests.support.patience import promised
from tests.support.stream import Stream, assert_once_and_in_order, wait_until

pytestmark = [
    pytest.mark.full,
    pytest.mark.xdist_group("images"),
    pytest.mark.timeout(1500),
]

IMAGES = load_samples().images[:8]
MOST_BYTES = 650e6
STOP_S = 5
LOAD = 20_000
TOLERANCE = 1e-5
TREE = (
    "cd /microservice && find . -name __pycache__ -prune -o -type f "
    "-exec sha256sum {} + -o -type f -printf '%m\\n' | sort"
)
IMAGE_NAMES = ["by_s2i", "python38", "python311"]

NewStream = Callable[..., Stream]


@pytest.fixture(params=IMAGE_NAMES)
def image(request: pytest.FixtureRequest) -> str:
    """Each of the images."""
    return str(request.getfixturevalue(request.param))


def in_new(image: str, *command: str) -> str:
    """What a command prints in a new container of an image."""
    return docker("run", "--rm", "--entrypoint", command[0], image, *command[1:])


def unpacked_bytes(image: str) -> int:
    return int(inspect(image)["Size"])


def environment(image: str) -> dict[str, str]:
    pairs = (each.partition("=") for each in inspect(image)["Config"]["Env"])
    return {name: value for name, _, value in pairs}


def packages(image: str) -> set[str]:
    listed = in_new(image, "cat", "/licenses/license_info.csv").splitlines()[1:]
    return {",".join(line.split(",")[:2]) for line in listed}


def test_s2i_and_the_dockerfile_end_in_the_same_files(by_s2i: str, python38: str) -> None:
    listed = in_new(by_s2i, "bash", "-c", TREE)
    assert listed == in_new(python38, "bash", "-c", TREE)
    assert "./wrapper/__init__.py" in listed
    assert "./seldon_kafka" not in listed
    assert "./tests" not in listed


def test_the_image_has_the_package_and_nothing_called_kafka(image: str) -> None:
    assert in_new(image, "seldon-kafka", "--version") == f"seldon-kafka {__version__}\n"
    with pytest.raises(AssertionError, match="No module named 'kafka'"):
        in_new(image, "python", "-c", "import kafka")


def test_s2i_and_the_dockerfile_install_the_same_packages(by_s2i: str, python38: str) -> None:
    # What the builder has to install with.
    assert {each.split(",")[0] for each in packages(by_s2i) ^ packages(python38)} <= {'"wheel"'}


def test_s2i_and_the_dockerfile_start_the_same_way(by_s2i: str, python38: str) -> None:
    wanted = image_environment()
    for image in (by_s2i, python38):
        config = inspect(image)["Config"]
        assert wanted.items() <= environment(image).items()
        assert (config["User"], config["WorkingDir"]) == ("8888", "/microservice")
        (script,) = config["Cmd"]
        assert in_new(image, "cat", script) == in_new(image, "cat", SCRIPT)


def test_an_image_has_no_compiler_and_with_python_3_8_it_is_small(image: str) -> None:
    assert unpacked_bytes(image) < MOST_BYTES or "3.8" not in image
    print(f"{image}: {unpacked_bytes(image) / 1e6:.0f} MB unpacked")
    found = in_new(image, "bash", "-c", "command -v gcc cc g++ make ld || true")
    assert found == ""


def test_an_image_lists_what_is_inside(image: str) -> None:
    bill = json.loads(in_new(image, "cat", "/licenses/sbom.cdx.json"))
    listed = {f'"{each["name"]}","{each["version"]}"' for each in bill["components"]}
    assert packages(image) <= listed
    assert '"seldon-core","1.17.1"' in packages(image)
    assert "Apache License" in in_new(image, "cat", "/licenses/license.txt")


def test_a_container_without_any_right_answers_and_leaves_with_its_batch_committed(
    image: str, new_stream: NewStream, new_container: NewContainer
) -> None:
    network = load_classifier(FAST / FLOAT if "3.8" in image else FAST)
    wanted = network.probabilities(IMAGES)
    stream = new_stream(partitions=3)
    container = new_container(image, SCRIPT, **in_container(stream), KAFKA_WORKERS="2")
    assert container.run("id", "-u").strip() == "8888"
    assert "CapEff:\t0000000000000000" in container.run("cat", "/proc/1/status")

    value = encode(FORMATS["ndarray"], IMAGES)
    assert np.abs(container.over_rest(value) - wanted).max() < TOLERANCE
    message = encode(FORMATS["protobuf"], IMAGES)
    assert np.abs(container.over_grpc(message) - wanted).max() < TOLERANCE
    stream.send([value] * 60)
    for reply in stream.replies(60):
        assert reply.value is not None
        assert np.abs(rows_of_json(reply.value) - wanted).max() < TOLERANCE

    total = 60 + LOAD
    stream.send([encode(FORMATS["ndarray"], IMAGES[:1])] * LOAD)
    wait_until(lambda: stream.lag() < LOAD, 20, "the load is being worked on")
    took_s = container.terminate()
    assert (took_s < promised(STOP_S), container.exit_code) == (True, 0), container.log[-2000:]
    assert "Traceback" not in container.log
    answered = stream.replies(60)
    assert_once_and_in_order(answered, total - stream.lag())
    print(f"{image}: left {took_s:.1f} s after SIGTERM, {len(answered)} of {total} answered")


def test_it_runs_without_any_option(image: str, new_container: NewContainer) -> None:
    container = new_container(image, writable=True)
    assert len(container.over_rest(encode(FORMATS["ndarray"], IMAGES))) == len(IMAGES)
    assert container.terminate() < promised(STOP_S)
    assert container.exit_code == 0
