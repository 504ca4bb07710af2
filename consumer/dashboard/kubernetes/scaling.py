"""How many pods a SeldonDeployment is to have: where its manifest says so, and how to change it.

Seldon's operator takes a component's `kedaSpec`, else its `hpaSpec`, else `replicas` of the
component, the predictor or the whole, in this order. Only the first component of the first
predictor is looked at: the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from consumer.dashboard.fleet import AUTOMATIC, BY_HAND, FleetError, Scaling

MOST_PODS = 500
"""More are neither listed nor asked for."""

# What KEDA and the HPA take where nothing is said.
_KEDA_MINIMUM, _KEDA_MAXIMUM, _KEDA_LAG = 0, 100, 10
_HPA_MINIMUM = 1

_KAFKA_TRIGGERS = ("kafka", "apache-kafka")
_PREDICTOR = "/spec/predictors/0"
_COMPONENT = f"{_PREDICTOR}/componentSpecs/0"


@dataclass(frozen=True)
class _Knob:
    """A number in the manifest.

    Attributes:
        path: Where, as a JSON pointer.
        found: What stands there; None if nothing does.
        default: What counts then.
        quoted: It is a number within a string.
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
        """What sets it, if it still is as it was found."""
        new = str(value) if self.quoted else value
        if self.found is None:
            return [{"op": "add", "path": self.path, "value": new}]
        return [
            {"op": "test", "path": self.path, "value": self.found},
            {"op": "replace", "path": self.path, "value": new},
        ]


@dataclass(frozen=True)
class _Automatic:
    """The numbers of a `kedaSpec` or an `hpaSpec`; no lag where something else decides."""

    minimum: _Knob
    maximum: _Knob
    lag: _Knob | None
    least: int


def read_scaling(manifest: dict[str, Any], wanted: int) -> Scaling:
    """How a SeldonDeployment is scaled.

    Args:
        manifest: The SeldonDeployment, of version v1.
        wanted: How many pods there are to be right now.

    Returns:
        Its only possible mode. By hand, minimum and maximum are the count; automatic, the lag
        is 0 where something else than Kafka's lag decides.

    Raises:
        FleetError: The manifest has no predictor.
    """
    automatic = _automatic(manifest)
    if automatic is None:
        count = _replicas(manifest).value
        return Scaling(BY_HAND, count, count, count, 0)
    lag = automatic.lag.value if automatic.lag else 0
    return Scaling(AUTOMATIC, automatic.minimum.value, automatic.maximum.value, wanted, lag)


def patch(manifest: dict[str, Any], scaling: Scaling) -> list[dict[str, Any]]:
    """The JSON patch (RFC 6902) that sets the scaling of a SeldonDeployment, and nothing else.

    It fails where any number that it sets was changed after the manifest was read.

    Args:
        manifest: The SeldonDeployment, of version v1.
        scaling: What is wanted; by hand only the count counts.

    Raises:
        FleetError: It can't be, or not with this manifest.
    """
    automatic = _automatic(manifest)
    _check_mode(AUTOMATIC if automatic else BY_HAND, scaling.mode)
    if automatic is None:
        if not 0 <= scaling.count <= MOST_PODS:
            raise FleetError(f"0 to {MOST_PODS} pods can be, not {scaling.count}")
        return _guarded(manifest, [(_replicas(manifest), scaling.count)])
    if (
        not automatic.least <= scaling.minimum <= scaling.maximum <= MOST_PODS
        or not scaling.maximum
    ):
        raise FleetError(
            f"at least {scaling.minimum} and at most {scaling.maximum} pods can't be: "
            f"both are {automatic.least} to {MOST_PODS}, and the most is 1 or more"
        )
    changes = [(automatic.minimum, scaling.minimum), (automatic.maximum, scaling.maximum)]
    if automatic.lag is not None:
        if scaling.lag_per_worker < 1:
            raise FleetError("the lag for each pod is 1 message or more")
        changes.append((automatic.lag, scaling.lag_per_worker))
    return _guarded(manifest, changes)


def _check_mode(possible: str, wanted: str) -> None:
    if wanted == possible:
        return
    if possible == BY_HAND:
        raise FleetError(
            "the manifest only has a number of replicas: "
            "to scale by lag, give its component a kedaSpec"
        )
    raise FleetError(
        "the manifest scales automatically: to do it otherwise, take out the kedaSpec or hpaSpec"
    )


def _guarded(manifest: dict[str, Any], changes: list[tuple[_Knob, int]]) -> list[dict[str, Any]]:
    # The paths count places in lists: another predictor must not have come before.
    name = {"op": "test", "path": f"{_PREDICTOR}/name", "value": _predictor(manifest).get("name")}
    operations = [name]
    if any(knob.found is None for knob, _ in changes):
        # That nothing stands somewhere can't be tested; that nobody wrote anything at all can.
        version = manifest["metadata"].get("resourceVersion")
        operations.append({"op": "test", "path": "/metadata/resourceVersion", "value": version})
    return operations + [each for knob, value in changes for each in knob.operations(value)]


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
            _Knob(f"{at}/minReplicaCount", keda.get("minReplicaCount"), _KEDA_MINIMUM),
            _Knob(f"{at}/maxReplicaCount", keda.get("maxReplicaCount"), _KEDA_MAXIMUM),
            _lag(keda.get("triggers") or [], f"{at}/triggers"),
            least=0,
        )
    if hpa is not None:
        at = f"{_COMPONENT}/hpaSpec"
        return _Automatic(
            _Knob(f"{at}/minReplicas", hpa.get("minReplicas"), _HPA_MINIMUM),
            _Knob(f"{at}/maxReplicas", hpa.get("maxReplicas"), _HPA_MINIMUM),
            None,
            least=1,
        )
    return None


def _lag(triggers: list[dict[str, Any]], at: str) -> _Knob | None:
    for index, trigger in enumerate(triggers):
        if trigger.get("type") in _KAFKA_TRIGGERS:
            found = (trigger.get("metadata") or {}).get("lagThreshold")
            return _Knob(f"{at}/{index}/metadata/lagThreshold", found, _KEDA_LAG, quoted=True)
    return None


def _replicas(manifest: dict[str, Any]) -> _Knob:
    """The number that the operator goes by; where there is none yet, the predictor's."""
    for at, level in (
        (_COMPONENT, _component(manifest)),
        (_PREDICTOR, _predictor(manifest)),
        ("/spec", manifest["spec"]),
    ):
        if level.get("replicas") is not None:
            return _Knob(f"{at}/replicas", level["replicas"], 1)
    return _Knob(f"{_PREDICTOR}/replicas", None, 1)
