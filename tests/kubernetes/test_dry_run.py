"""The API server and Seldon's webhook accept every overlay."""

from __future__ import annotations

import pytest
import yaml

from tests.kubernetes.operators import namespace_manifest
from tests.kubernetes.rig import Rig
from tests.support.manifests import (
    FILES,
    FOLDER,
    OVERLAYS,
    Document,
    documents,
    is_defined,
    overlay,
)

pytestmark = [pytest.mark.full, pytest.mark.alone, pytest.mark.timeout(300)]


def with_namespace(rig: Rig, name: str) -> list[Document]:
    """Returns an overlay after the creation of its namespace, which a dry run needs."""
    found = overlay(name)
    rig.apply(*(each for each in found if each["kind"] == "Namespace"))
    return found


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_overlay_is_accepted(rig: Rig, name: str) -> None:
    built = yaml.safe_dump_all(filter(is_defined, with_namespace(rig, name)))
    rig.kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", stdin=built)


@pytest.mark.parametrize("file", [file for file in FILES if all(map(is_defined, documents(file)))])
def test_every_file_is_accepted(rig: Rig, file: str) -> None:
    rig.apply(namespace_manifest("kmnist"))
    rig.kubectl("apply", "--server-side", "--dry-run=server", "-f", FOLDER / file)


def test_the_webhook_refuses_an_executor_without_a_broker(rig: Rig) -> None:
    found = with_namespace(rig, "executor")
    (deployment,) = [each for each in found if each["kind"] == "SeldonDeployment"]
    environ = deployment["spec"]["predictors"][0]["svcOrchSpec"]["env"]
    environ[:] = [each for each in environ if each["name"] != "KAFKA_BROKER"]
    ran = rig.try_kubectl(
        "apply", "--server-side", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump(deployment)
    )
    assert ran.returncode != 0
    assert "KAFKA_BROKER" in ran.stderr
