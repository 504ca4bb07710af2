"""Reads the scaling of a SeldonDeployment from its manifest, and makes patches that change it.

Seldon's operator uses the first of these that is set: `kedaSpec` and `hpaSpec` of the component,
then `replicas` of the component, of the predictor, and of the SeldonDeployment. This module reads
only the first component of the first predictor, which is the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from consumer.dashboard.fleet import AUTOMATIC, BY_HAND, FleetError, Scaling

MOST_PODS = 500
"""Limit of the number of listed pods, and of the desired number of pods."""

# Defaults of KEDA and of the HorizontalPodAutoscaler.
_KEDA_MINIMUM, _KEDA_MAXIMUM, _KEDA_LAG = 0, 100, 10
_HPA_MINIMUM = 1

_KAFKA_TRIGGERS = ("kafka", "apache-kafka")
_PREDICTOR = "/spec/predictors/0"
_COMPONENT = f"{_PREDICTOR}/componentSpecs/0"


@dataclass(frozen=True)
class _Field:
    """A number in the manifest.

    Attributes:
        path: JSON pointer to the number.
        found: value in the manifest; None if missing.
        default: the number that applies if the value is missing or is no number.
        quoted: whether the manifest has the number as a string.
    """

    path: str
    found: Any
    default: int
    quoted: bool = False

    @property
    def value(self) -> int:
        try:
            return int(self.found)
        except (TypeError, ValueError):
            return self.default

    def operations(self, value: int) -> list[dict[str, Any]]:
        """Returns the JSON patch operations that set the number.

        The operations fail if the existing value was changed after the manifest was read.
        """
        new = str(value) if self.quoted else value
        if self.found is None:
            return [{"op": "add", "path": self.path, "value": new}]
        return [
            {"op": "test", "path": self.path, "value": self.found},
            {"op": "replace", "path": self.path, "value": new},
        ]


@dataclass(frozen=True)
class _Automatic:
    """The numbers in a `kedaSpec` or an `hpaSpec`.

    Attributes:
        minimum: smallest number of pods.
        maximum: largest number of pods.
        lag: lag for each pod, in messages; None without a Kafka trigger.
        least: smallest value that `minimum` may have.
    """

    minimum: _Field
    maximum: _Field
    lag: _Field | None
    least: int


def read_scaling(manifest: dict[str, Any], wanted: int) -> Scaling:
    """Reads the scaling of a SeldonDeployment.

    Args:
        manifest: the SeldonDeployment, of version v1.
        wanted: the current desired number of pods.

    Returns:
        The scaling in the mode of the manifest. In the mode `by-hand`, minimum and maximum equal
        the count. In the mode `automatic`, the lag is 0 without a Kafka trigger.

    Raises:
        FleetError: the manifest has no predictor.
    """
    automatic = _automatic(manifest)
    if automatic is None:
        count = _replicas(manifest).value
        return Scaling(BY_HAND, count, count, count, 0)
    lag = automatic.lag.value if automatic.lag else 0
    return Scaling(AUTOMATIC, automatic.minimum.value, automatic.maximum.value, wanted, lag)


def patch(manifest: dict[str, Any], scaling: Scaling) -> list[dict[str, Any]]:
    """Returns the JSON patch (RFC 6902) that sets only the scaling of a SeldonDeployment.

    The patch fails if any number that it sets was changed after the manifest was read.

    Args:
        manifest: the SeldonDeployment, of version v1.
        scaling: the new scaling; in the mode `by-hand`, only its count applies.

    Raises:
        FleetError: the scaling is invalid, or the manifest does not support it.
    """
    automatic = _automatic(manifest)
    _check_mode(AUTOMATIC if automatic else BY_HAND, scaling.mode)
    if automatic is None:
        if not 0 <= scaling.count <= MOST_PODS:
            raise FleetError(f"the number of pods must be 0 to {MOST_PODS}, not {scaling.count}")
        return _guarded(manifest, [(_replicas(manifest), scaling.count)])
    if (
        not automatic.least <= scaling.minimum <= scaling.maximum <= MOST_PODS
        or not scaling.maximum
    ):
        raise FleetError(
            f"a minimum of {scaling.minimum} and a maximum of {scaling.maximum} pods is invalid: "
            f"both must be {automatic.least} to {MOST_PODS}, and the maximum 1 or more "
            "and not below the minimum"
        )
    changes = [(automatic.minimum, scaling.minimum), (automatic.maximum, scaling.maximum)]
    if automatic.lag is not None:
        if scaling.lag_per_worker < 1:
            raise FleetError("the lag for each pod must be 1 message or more")
        changes.append((automatic.lag, scaling.lag_per_worker))
    return _guarded(manifest, changes)


def _check_mode(possible: str, wanted: str) -> None:
    if wanted == possible:
        return
    if possible == BY_HAND:
        raise FleetError(
            "the manifest sets a fixed number of replicas: "
            "to scale by lag, add a kedaSpec to its component"
        )
    raise FleetError(
        "an autoscaler sets the number of pods: to set it by hand, remove the kedaSpec or hpaSpec"
    )


def _guarded(manifest: dict[str, Any], changes: list[tuple[_Field, int]]) -> list[dict[str, Any]]:
    # The paths have indexes of lists, so the first predictor must still be the same.
    name = {"op": "test", "path": f"{_PREDICTOR}/name", "value": _predictor(manifest).get("name")}
    operations = [name]
    if any(field.found is None for field, _ in changes):
        # A patch can't test that a field is missing, but it can test the version of the document.
        version = manifest["metadata"].get("resourceVersion")
        operations.append({"op": "test", "path": "/metadata/resourceVersion", "value": version})
    return operations + [each for field, value in changes for each in field.operations(value)]


def _predictor(manifest: dict[str, Any]) -> dict[str, Any]:
    predictors = (manifest.get("spec") or {}).get("predictors")
    if not predictors:
        raise FleetError("the SeldonDeployment has no predictor")
    first: dict[str, Any] = predictors[0]
    return first


def _component(manifest: dict[str, Any]) -> dict[str, Any]:
    components = _predictor(manifest).get("componentSpecs")
    return components[0] if components else {}


def _automatic(manifest: dict[str, Any]) -> _Automatic | None:
    component = _component(manifest)
    keda, hpa = component.get("kedaSpec"), component.get("hpaSpec")
    if keda is not None:
        at = f"{_COMPONENT}/kedaSpec"
        return _Automatic(
            _Field(f"{at}/minReplicaCount", keda.get("minReplicaCount"), _KEDA_MINIMUM),
            _Field(f"{at}/maxReplicaCount", keda.get("maxReplicaCount"), _KEDA_MAXIMUM),
            _lag(keda.get("triggers") or [], f"{at}/triggers"),
            least=0,
        )
    if hpa is not None:
        at = f"{_COMPONENT}/hpaSpec"
        return _Automatic(
            _Field(f"{at}/minReplicas", hpa.get("minReplicas"), _HPA_MINIMUM),
            _Field(f"{at}/maxReplicas", hpa.get("maxReplicas"), _HPA_MINIMUM),
            None,
            least=1,
        )
    return None


def _lag(triggers: list[dict[str, Any]], at: str) -> _Field | None:
    for index, trigger in enumerate(triggers):
        if trigger.get("type") in _KAFKA_TRIGGERS:
            found = (trigger.get("metadata") or {}).get("lagThreshold")
            return _Field(f"{at}/{index}/metadata/lagThreshold", found, _KEDA_LAG, quoted=True)
    return None


def _replicas(manifest: dict[str, Any]) -> _Field:
    """Returns the field `replicas` that the operator uses; that of the predictor if none is set."""
    for at, level in (
        (_COMPONENT, _component(manifest)),
        (_PREDICTOR, _predictor(manifest)),
        ("/spec", manifest["spec"]),
    ):
        if level.get("replicas") is not None:
            return _Field(f"{at}/replicas", level["replicas"], 1)
    return _Field(f"{_PREDICTOR}/replicas", None, 1)
