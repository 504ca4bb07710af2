"""The API server itself takes every overlay, with Seldon's webhook asked."""

from __future__ import annotations

import pytest
import yaml

from tests.cluster.operators import namespace
from tests.cluster.rig import Rig
from tests.sdep.manifests import FILES, FOLDER, OVERLAYS

pytestmark = [pytest.mark.full, pytest.mark.alone, pytest.mark.timeout(300)]


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_overlay_is_taken(rig: Rig, name: str) -> None:
    rig.apply(namespace("kmnist"))
    built = rig.kubectl("kustomize", FOLDER / "overlays" / name)
    rig.kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", stdin=built)


@pytest.mark.parametrize("file", FILES)
def test_every_file_is_taken(rig: Rig, file: str) -> None:
    rig.kubectl("apply", "--server-side", "--dry-run=server", "-f", FOLDER / file)


def test_the_webhook_refuses_an_executor_without_a_broker(rig: Rig) -> None:
    rig.apply(namespace("kmnist"))
    found = list(yaml.safe_load_all(rig.kubectl("kustomize", FOLDER / "overlays" / "executor")))
    (deployment,) = [each for each in found if each["kind"] == "SeldonDeployment"]
    environ = deployment["spec"]["predictors"][0]["svcOrchSpec"]["env"]
    environ[:] = [each for each in environ if each["name"] != "KAFKA_BROKER"]
    ran = rig.try_kubectl(
        "apply", "--server-side", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump(deployment)
    )
    assert ran.returncode != 0
    assert "KAFKA_BROKER" in ran.stderr
