"""The part of Seldon's Python wrapper that calls user models, without seldon_core.

Seldon's own classes are recognised by their names and attributes, so seldon_core need not be
installed; where a class uses it, its objects are taken as they are.
"""

from __future__ import annotations

import importlib.util
import json
import os
from typing import Any, Dict, List, Mapping

from seldon_kafka.errors import UserModelError
from seldon_kafka.messages import Response

INCLUDES_METRICS = os.environ.get("INCLUDE_METRICS_IN_CLIENT_RESPONSE", "true").lower() == "true"
"""Whether replies have the metrics that a class reports."""

INSTALL = (
    "pip install 'seldon-kafka[seldon]' "
    "(seldon-core 1.17.1 with numpy below 2 and protobuf below 4, on Python 3.8 to 3.12)"
)
"""The command that installs seldon_core, and the versions that it pins."""

_MODULE = "seldon_core.user_model"
_ABSENT = "NOT_IMPLEMENTED"
_KINDS = ("COUNTER", "GAUGE", "TIMER")
_PARTS = frozenset(("data", "tags", "metrics"))


def has_seldon_core() -> bool:
    """Whether seldon_core is installed; it is not imported for this."""
    return importlib.util.find_spec("seldon_core") is not None


def response_of(answer: Any) -> Any:
    """The answer with its tags and metrics: as the class gave it, or a `Response` without any."""
    if isinstance(answer, Response) or getattr(answer, "__dict__", {}).keys() >= _PARTS:
        return answer
    return Response(answer)


def says_not_implemented(error: BaseException) -> bool:
    """Whether an exception is Seldon's word for a method that is not there."""
    return _theirs(type(error), "SeldonNotImplementedError") is not None


class NotImplementedSuppressed:
    """A context that suppresses Seldon's word for a method that is not there."""

    def __enter__(self) -> None:
        """Begins."""

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> bool:
        """Suppresses that exception, and no other."""
        return error is not None and says_not_implemented(error)


def _theirs(kind: type, name: str) -> Any:
    """The class of this name in seldon_core that a class extends, or None."""
    return next(
        (each for each in kind.__mro__ if (each.__module__, each.__name__) == (_MODULE, name)), None
    )


def has_method(instance: Any, name: str) -> bool:
    """Tells whether Seldon would find the attribute, and it is the class's own.

    What a `SeldonComponent` inherits raises `SeldonNotImplementedError`, and does not count.
    """
    if not hasattr(instance, name):
        return False
    inherited = getattr(_theirs(type(instance), "SeldonComponent"), name, None)
    if inherited is None:
        return True
    return name in vars(instance) or getattr(type(instance), name, None) is not inherited


def checked_metrics(metrics: Any) -> List[Dict[str, Any]]:
    """The metrics that a class reported.

    Raises:
        UserModelError: they are no list of objects with `key`, `type` and a number as `value`.
    """
    if not isinstance(metrics, list) or not all(map(_is_metric, metrics)):
        raise UserModelError(
            f"Bad metric created during request: {json.dumps(metrics)}",
            status_code=500,
            reason="MICROSERVICE_BAD_METRIC",
        )
    return metrics


def _is_metric(metric: Any) -> bool:
    if not all(part in metric for part in ("key", "value", "type")):
        return False
    try:
        metric["value"] + 1
    except TypeError:
        return False
    return metric["type"] in _KINDS


def request_path() -> Mapping[str, str]:
    """Seldon's `meta.requestPath`: the graph's node and its image, as Seldon's operator says."""
    node = os.environ.get("PREDICTIVE_UNIT_ID", _ABSENT)
    return {} if node == _ABSENT else {node: _image()}


def metric_labels() -> Dict[str, str]:
    """The labels that Seldon gives to all metrics of a class, as its operator says."""
    model_image, _, model_version = _image().rpartition(":")
    predictor = json.loads(os.environ.get("PREDICTOR_LABELS", "{}"))
    deployment = os.environ.get("SELDON_DEPLOYMENT_ID", _ABSENT)
    return {
        "deployment_name": deployment,
        "model_name": os.environ.get("PREDICTIVE_UNIT_ID", _ABSENT),
        "model_image": model_image,
        "model_version": model_version,
        "predictor_name": os.environ.get("PREDICTOR_ID", _ABSENT),
        "predictor_version": predictor.get("version", _ABSENT),
        "seldon_deployment_name": deployment,
        "image_name": model_image,
        "image_version": model_version,
    }


def _image() -> str:
    return os.environ.get("PREDICTIVE_UNIT_IMAGE", f"{_ABSENT}:{_ABSENT}")
