"""The desired number of pods is read from a SeldonDeployment's manifest, and changed in it."""

from __future__ import annotations

import copy
import json
import shlex
from collections.abc import Callable
from typing import Any

import pytest

from consumer.dashboard.fleet import AUTOMATIC, BY_HAND, OFF, Scaling
from tests.support.crd import all_definitions, needs_definitions
from tests.support.kubernetes_cluster import Document
from tests.support.kubernetes_rig import (
    HPA,
    KEDA,
    MANIFEST,
    Rig,
    Start,
    component,
    keda_of,
    run,
    with_component,
)

PREDICTOR = "/spec/predictors/0"
COMPONENT = f"{PREDICTOR}/componentSpecs/0"


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        (with_component(kedaSpec=KEDA), Scaling(AUTOMATIC, 1, 4, 1, 100)),
        (with_component(hpaSpec=HPA), Scaling(AUTOMATIC, 2, 5, 2, 0)),
        (with_component(kedaSpec=KEDA, hpaSpec=HPA), Scaling(AUTOMATIC, 1, 4, 1, 100)),
        (MANIFEST, Scaling(BY_HAND, 2, 2, 2, 0)),
        (with_component(replicas=3), Scaling(BY_HAND, 3, 3, 3, 0)),
    ],
    ids=["keda", "hpa", "keda wins", "predictor", "component wins"],
)
def test_the_scaling_is_read_from_the_manifest(
    start: Start, manifest: Document, expected: Scaling
) -> None:
    fleet = start(manifest).backend.snapshot()
    assert fleet.scaling == expected
    assert fleet.modes == (expected.mode,)
    assert fleet.wanted == expected.count


def test_a_keda_spec_has_the_defaults_of_keda(start: Start) -> None:
    spec = {"triggers": [{"type": "kafka", "metadata": {"topic": "model_input"}}]}
    rig = start(with_component(kedaSpec=spec))
    assert rig.backend.snapshot().scaling == Scaling(AUTOMATIC, 0, 100, 1, 10)
    assert run(rig.backend.scale(Scaling(AUTOMATIC, 1, 3, 0, 50)))[0] == 0
    assert component(rig.cluster.manifest)["kedaSpec"] == {
        "minReplicaCount": 1,
        "maxReplicaCount": 3,
        "triggers": [{"type": "kafka", "metadata": {"topic": "model_input", "lagThreshold": "50"}}],
    }


def hpa_of(manifest: Document) -> list[Any]:
    spec = component(manifest)["hpaSpec"]
    return [spec["minReplicas"], spec["maxReplicas"]]


def predictors_replicas(manifest: Document) -> list[Any]:
    return [manifest["spec"]["predictors"][0]["replicas"]]


def components_replicas(manifest: Document) -> list[Any]:
    return [component(manifest)["replicas"]]


@pytest.mark.parametrize(
    ("manifest", "read", "scaling", "expected"),
    [
        (with_component(kedaSpec=KEDA), keda_of, Scaling(AUTOMATIC, 2, 2, 9, 50), [2, 2, "50"]),
        (with_component(hpaSpec=HPA), hpa_of, Scaling(AUTOMATIC, 3, 3, 9, 0), [3, 3]),
        (MANIFEST, predictors_replicas, Scaling(BY_HAND, 0, 0, 3, 0), [3]),
        (with_component(replicas=1), components_replicas, Scaling(BY_HAND, 0, 0, 3, 0), [3]),
    ],
    ids=["keda", "hpa", "predictor", "component"],
)
def test_scaling_changes_only_its_numbers_in_the_manifest(
    start: Start,
    manifest: Document,
    read: Callable[[Document], list[Any]],
    scaling: Scaling,
    expected: list[Any],
) -> None:
    rig = start(manifest)
    rig.backend.snapshot()
    before = rig.cluster.manifest
    action = rig.backend.scale(scaling)
    assert run(action) == (0, "seldondeployment.machinelearning.seldon.io/kmnist patched")
    after = rig.cluster.manifest
    assert read(after) == expected
    rig.await_ready(min(expected[0], 3))
    for changed in (before, after):
        changed["metadata"]["resourceVersion"] = ""
        for spec in (component(changed), changed["spec"]["predictors"][0]):
            for gone in ("kedaSpec", "hpaSpec", "replicas"):
                spec.pop(gone, None)
    assert before == after
    sent = next(body for method, _, body in rig.api.requests if method == "PATCH")
    words = shlex.split(action.command)
    assert words[:-1] == shlex.split("kubectl --namespace seldon patch sdep kmnist --type json -p")
    assert json.loads(words[-1]) == sent


def test_the_patch_tests_each_number_that_it_replaces(start: Start) -> None:
    rig = start(with_component(hpaSpec=HPA))
    patch = json.loads(shlex.split(rig.backend.scale(Scaling(AUTOMATIC, 3, 6, 0, 0)).command)[-1])
    assert patch == [
        {"op": "test", "path": f"{PREDICTOR}/name", "value": "default"},
        {"op": "test", "path": f"{COMPONENT}/hpaSpec/minReplicas", "value": 2},
        {"op": "replace", "path": f"{COMPONENT}/hpaSpec/minReplicas", "value": 3},
        {"op": "test", "path": f"{COMPONENT}/hpaSpec/maxReplicas", "value": 5},
        {"op": "replace", "path": f"{COMPONENT}/hpaSpec/maxReplicas", "value": 6},
    ]


def test_missing_replicas_are_added_to_the_predictor(start: Start) -> None:
    manifest = copy.deepcopy(MANIFEST)
    del manifest["spec"]["predictors"][0]["replicas"]
    rig = start(manifest)
    assert rig.backend.snapshot().scaling == Scaling(BY_HAND, 1, 1, 1, 0)
    assert run(rig.backend.scale(Scaling(BY_HAND, 0, 0, 2, 0)))[0] == 0
    assert rig.cluster.manifest["spec"]["predictors"][0]["replicas"] == 2


def set_predictor(manifest: Document) -> None:
    manifest["spec"]["predictors"][0]["replicas"] = 7


def set_deployment(manifest: Document) -> None:
    manifest["spec"]["replicas"] = 7


@pytest.mark.parametrize(
    ("absent", "change"), [(False, set_predictor), (True, set_predictor), (True, set_deployment)]
)
def test_a_change_by_another_user_is_not_overwritten(
    start: Start, absent: bool, change: Callable[[Document], None]
) -> None:
    manifest = copy.deepcopy(MANIFEST)
    if absent:
        del manifest["spec"]["predictors"][0]["replicas"]
    rig = start(manifest)
    rig.backend.snapshot()
    rig.cluster.edit(change)
    changed = rig.cluster.manifest
    status, output = run(rig.backend.scale(Scaling(BY_HAND, 0, 0, 3, 0)))
    assert status == 1
    assert output.startswith("another user changed seldon/kmnist on http")
    assert rig.cluster.manifest == changed
    rig.backend.snapshot()
    assert run(rig.backend.scale(Scaling(BY_HAND, 0, 0, 3, 0)))[0] == 0


def test_a_change_of_another_field_is_kept(rig: Rig) -> None:
    rig.backend.snapshot()
    rig.cluster.edit(lambda manifest: manifest["metadata"]["labels"].update(added="kept"))
    assert run(rig.backend.scale(Scaling(BY_HAND, 0, 0, 3, 0)))[0] == 0
    assert rig.cluster.manifest["metadata"]["labels"]["added"] == "kept"


def test_a_new_first_predictor_is_not_scaled(rig: Rig) -> None:
    rig.backend.snapshot()

    def put_in_front(manifest: Document) -> None:
        canary = {**copy.deepcopy(manifest["spec"]["predictors"][0]), "name": "canary"}
        manifest["spec"]["predictors"].insert(0, canary)

    rig.cluster.edit(put_in_front)
    assert run(rig.backend.scale(Scaling(BY_HAND, 0, 0, 3, 0)))[0] == 1


@pytest.mark.parametrize(
    ("manifest", "scaling", "why"),
    [
        (MANIFEST, Scaling(AUTOMATIC, 1, 2, 0, 10), "add a kedaSpec to its component"),
        (MANIFEST, Scaling(OFF, 1, 2, 0, 10), "add a kedaSpec to its component"),
        (with_component(kedaSpec=KEDA), Scaling(BY_HAND, 1, 2, 2, 10), "remove the kedaSpec"),
        (with_component(kedaSpec=KEDA), Scaling(AUTOMATIC, 3, 2, 0, 10), "a minimum of 3 and a"),
        (with_component(kedaSpec=KEDA), Scaling(AUTOMATIC, 0, 0, 0, 10), "the maximum 1 or more"),
        (with_component(kedaSpec=KEDA), Scaling(AUTOMATIC, 1, 9999, 0, 10), "0 to 500"),
        (with_component(kedaSpec=KEDA), Scaling(AUTOMATIC, 1, 2, 0, 0), "1 message or more"),
        (with_component(hpaSpec=HPA), Scaling(AUTOMATIC, 0, 2, 0, 0), "both must be 1 to 500"),
        (MANIFEST, Scaling(BY_HAND, 0, 0, -1, 0), "not -1"),
        (MANIFEST, Scaling(BY_HAND, 0, 0, 501, 0), "not 501"),
    ],
)
def test_invalid_scaling_is_refused_without_a_request(
    start: Start, manifest: Document, scaling: Scaling, why: str
) -> None:
    rig = start(manifest)
    action = rig.backend.scale(scaling)
    assert action.command == "kubectl --namespace seldon edit sdep kmnist"
    status, output = run(action)
    assert status == 1
    assert why in output
    assert not [each for each in rig.api.requests if each[0] == "PATCH"]


@needs_definitions
@pytest.mark.parametrize(
    ("manifest", "scaling"),
    [
        (with_component(kedaSpec=KEDA), Scaling(AUTOMATIC, 0, 9, 0, 7)),
        (with_component(kedaSpec={"triggers": KEDA["triggers"]}), Scaling(AUTOMATIC, 0, 9, 0, 7)),
        (with_component(hpaSpec=HPA), Scaling(AUTOMATIC, 1, 9, 0, 0)),
        (with_component(replicas=1), Scaling(BY_HAND, 0, 0, 0, 0)),
    ],
)
def test_the_changed_manifest_is_valid(start: Start, manifest: Document, scaling: Scaling) -> None:
    rig = start(manifest)
    assert run(rig.backend.scale(scaling))[0] == 0
    changed = rig.cluster.manifest
    del changed["metadata"]["resourceVersion"]
    assert all_definitions().errors(changed) == []
