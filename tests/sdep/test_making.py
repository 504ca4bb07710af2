"""Images, training and TensorBoard match each other and the code."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

import pytest

from model.config import load_recipes
from model.dataset import CACHE
from tests.support.image_replica import image_environment
from tests.support.manifests import (
    FOLDER,
    ROOT,
    Document,
    containers,
    documents,
    environ,
    of_kind,
    overlay,
    pods,
)

BUILDER = "seldonio/seldon-core-s2i-python38:1.17.1"
SCRIPT_OF_S2I = "/microservice/.s2i/bin/run"


def instructions(file: str) -> list[tuple[str, str]]:
    """Returns a Dockerfile's instructions, each with its arguments on one line."""
    text = (FOLDER / file).read_text("utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    pairs = (line.partition(" ") for line in lines)
    return [(name, " ".join(arguments.split())) for name, _, arguments in pairs]


def of_instruction(file: str, name: str) -> list[str]:
    return [arguments for each, arguments in instructions(file) if each == name]


def job() -> Document:
    (found,) = of_kind(documents("training/train.yaml"), "TFJob")
    return dict(found["spec"])


def training() -> Document:
    (found,) = pods(documents("training/train.yaml"))[0]["containers"]
    return dict(found)


def mounts(container: Document, pod: Document) -> dict[str, Document]:
    """Returns the mounts of a container, by the mounted claim."""
    claims = {
        volume["name"]: volume["persistentVolumeClaim"]["claimName"] for volume in pod["volumes"]
    }
    return {claims[mount["name"]]: mount for mount in container["volumeMounts"]}


def test_the_build_creates_every_image_of_the_manifests() -> None:
    (builder,) = pods(documents("training/build.yaml"))[0]["containers"]
    (script,) = builder["args"]
    registry = environ(builder, [])["REGISTRY"]
    built = dict(re.findall(r"^ *build (\S+) (\S+)$", script, re.MULTILINE))
    assert all((ROOT / file).is_file() for file in built)
    files = ["batch/workflow.yaml", "training/train.yaml", "training/tensorboard.yaml"]
    found = [
        *overlay("native"),
        *overlay("executor"),
        *(each for file in files for each in documents(file)),
    ]
    used = {each["image"] for pod in pods(found) for each in containers(pod)}
    assert {f"{registry}/{image}" for image in built.values()} == used


def test_the_build_has_only_the_rights_that_a_user_namespace_needs() -> None:
    (builder,) = pods(documents("training/build.yaml"))[0]["containers"]
    rights = builder["securityContext"]
    assert rights["capabilities"]["add"] == ["SETUID", "SETGID"]
    assert "privileged" not in rights


def test_the_credentials_of_the_build_are_in_its_folder_for_them() -> None:
    (pod,) = pods(documents("training/build.yaml"))
    (builder,) = pod["containers"]
    folder = environ(builder, [])["DOCKER_CONFIG"]
    (name,) = [each["name"] for each in builder["volumeMounts"] if each["mountPath"] == folder]
    (secret,) = [each["secret"] for each in pod["volumes"] if each["name"] == name]
    assert secret["items"] == [{"key": ".dockerconfigjson", "path": "config.json"}]
    assert f"docker-registry {secret['secretName']} " in (FOLDER / "README.md").read_text("utf-8")


def test_the_served_image_has_the_variables_of_s2i() -> None:
    assert f"s2i build . {BUILDER} " in (FOLDER / "README.md").read_text("utf-8")
    variables = dict(
        each.split("=", 1)
        for line in of_instruction("Dockerfile", "ENV")
        for each in line.split()
        if not each.startswith("PATH=")
    )
    assert variables == image_environment()
    assert of_instruction("Dockerfile", "CMD") == [f'["{SCRIPT_OF_S2I}"]']


def test_s2i_and_docker_get_the_same_files() -> None:
    copied = {
        source.split("/")[0]
        for line in of_instruction("Dockerfile", "COPY")
        if not line.startswith("--from")
        for source in line.split()[:-1]
    }
    kept = {
        line.removeprefix("!")
        for line in (ROOT / ".s2iignore").read_text("utf-8").splitlines()
        if line.startswith("!")
    }
    assert copied == kept


def test_the_training_image_contains_the_files_that_it_installs_and_runs() -> None:
    sources = [
        each
        for line in of_instruction("training/Dockerfile.train", "COPY")
        for each in line.split()
    ]
    assert (ROOT / "model" / "train.py").is_file()
    assert "model" in sources
    (install,) = [run for run in of_instruction("training/Dockerfile.train", "RUN") if "pip" in run]
    wanted = [install.rpartition(" ")[2]]
    for name in wanted:
        assert name in sources
        lines = (ROOT / name).read_text("utf-8").splitlines()
        wanted += [line.removeprefix("-r ") for line in lines if line.startswith("-r ")]


@pytest.mark.parametrize(
    ("image", "file"),
    [
        ("Dockerfile", "native"),
        ("batch/Dockerfile", "batch/workflow.yaml"),
        ("training/Dockerfile.train", "training/train.yaml"),
        ("training/Dockerfile.train", "training/tensorboard.yaml"),
    ],
)
def test_the_user_of_an_image_is_the_user_of_its_pods(image: str, file: str) -> None:
    found = documents(file) if file.endswith(".yaml") else overlay(file)
    for pod in pods(found):
        user = str(pod["securityContext"]["runAsUser"])
        assert of_instruction(image, "USER")[-1] == user


def test_a_chief_and_workers_share_each_batch_evenly_without_parameter_servers() -> None:
    roles = job()["tfReplicaSpecs"]
    assert set(roles) == {"Chief", "Worker"}
    assert roles["Chief"]["replicas"] == 1
    recipe = training()["command"][training()["command"].index("model.train") + 1]
    processes = sum(role["replicas"] for role in roles.values())
    assert load_recipes()[recipe].batch % (2 * processes) == 0


def test_a_training_restarts_when_any_role_stops() -> None:
    for role in job()["tfReplicaSpecs"].values():
        assert role["restartPolicy"] == "OnFailure"
        assert [each["name"] for each in role["template"]["spec"]["containers"]] == ["tensorflow"]


def test_all_processes_write_to_one_volume_and_tensorboard_only_reads_it() -> None:
    claims = {each["metadata"]["name"]: each for each in documents("training/train.yaml")[:2]}
    (board,) = pods(documents("training/tensorboard.yaml"))
    (shown,) = board["containers"]
    for pod in pods(documents("training/train.yaml")):
        written = mounts(pod["containers"][0], pod)["kmnist-runs"]
        assert training()["command"][-2:] == ["--runs", written["mountPath"]]
        assert not written.get("readOnly")
    read = mounts(shown, board)["kmnist-runs"]
    assert read["readOnly"] is True
    assert shown["command"][1:3] == ["--logdir", read["mountPath"]]
    assert claims["kmnist-runs"]["spec"]["accessModes"] == ["ReadWriteMany"]


def test_the_data_set_is_downloaded_to_the_folder_of_the_training() -> None:
    (folder,) = of_instruction("training/Dockerfile.train", "WORKDIR")
    cache = PurePosixPath(folder) / CACHE.relative_to(ROOT)
    for pod in pods(documents("training/train.yaml")):
        (download,) = pod["initContainers"]
        assert download["command"] == ["python", "-m", "model.dataset"]
        assert mounts(download, pod)["kmnist-data"]["mountPath"] == str(cache)
        found = mounts(pod["containers"][0], pod)["kmnist-data"]
        assert found["mountPath"] == environ(training(), [])["KMNIST_DATA"]


def test_the_service_selects_tensorboard() -> None:
    (deployment,) = of_kind(documents("training/tensorboard.yaml"), "Deployment")
    (service,) = of_kind(documents("training/tensorboard.yaml"), "Service")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"] == labels == deployment["spec"]["selector"]["matchLabels"]
    (port,) = service["spec"]["ports"]
    (shown,) = pods(documents("training/tensorboard.yaml"))[0]["containers"]
    (open_port,) = shown["ports"]
    assert port["targetPort"] == open_port["name"]
    assert shown["command"][-2:] == ["--port", str(open_port["containerPort"])]
