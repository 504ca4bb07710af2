"""The rules by which Seldon's Python wrapper calls user models, without seldon_core.

Seldon's classes are recognised by their names and attributes, so seldon_core need not be installed.
If a user model uses seldon_core, objects of seldon_core are accepted.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import os
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple

from seldon_kafka.errors import UserModelError
from seldon_kafka.messages import Json, JsonObject, Response

INCLUDES_METRICS = os.environ.get("INCLUDE_METRICS_IN_CLIENT_RESPONSE", "true").lower() == "true"
"""Whether replies contain the metrics of the user model."""

INSTALL = (
    "pip install 'seldon-kafka[seldon]' "
    "(seldon-core 1.17.1 with numpy below 2 and protobuf below 4, on Python 3.8 to 3.12)"
)
"""The command that installs seldon_core, and the versions that it pins."""

_USER_MODEL_MODULE = "seldon_core.user_model"
_ABSENT = "NOT_IMPLEMENTED"
_METRIC_TYPES = ("COUNTER", "GAUGE", "TIMER")
_RESPONSE_ATTRIBUTES = frozenset(("data", "tags", "metrics"))


class Service(NamedTuple):
    """The methods of one of Seldon's service types.

    Attributes:
        method: the method that gets the payload.
        raw: the method that gets a whole message.
        raw_of_json: the older name of `raw` for messages in JSON.
        raw_of_proto: the older name of `raw` for messages in protobuf.
        metrics_tag: the value of the tag `method` in metrics of the service type.
    """

    method: str
    raw: str
    raw_of_json: str
    raw_of_proto: str
    metrics_tag: str

    @property
    def raw_names(self) -> Tuple[str, str, str]:
        """The names of the methods that get a whole message."""
        return self.raw, self.raw_of_json, self.raw_of_proto


def _transformer(method: str, tag: str) -> Service:
    return Service(method, f"{method}_raw", f"{method}_rest", f"{method}_grpc", tag)


SERVICES: Mapping[str, Service] = {
    "MODEL": Service("predict", "predict_raw", "predict_rest", "predict_grpc", "predict"),
    "TRANSFORMER": _transformer("transform_input", "inputtransform"),
    "OUTPUT_TRANSFORMER": _transformer("transform_output", "outputtransform"),
}
"""The service types that run between topics, by the value of `SERVICE_TYPE`."""


def has_seldon_core() -> bool:
    """Returns whether seldon_core is installed, without importing it."""
    return importlib.util.find_spec("seldon_core") is not None


def response_of(answer: Json) -> Json:
    """Returns an answer that is a `Response` or Seldon's own response.

    Any other answer becomes the data of a new `Response`.
    """
    if (
        isinstance(answer, Response)
        or getattr(answer, "__dict__", {}).keys() >= _RESPONSE_ATTRIBUTES
    ):
        return answer
    return Response(answer)


def says_not_implemented(error: BaseException) -> bool:
    """Returns whether an exception is Seldon's error for a missing method."""
    return _seldon_base(type(error), "SeldonNotImplementedError") is not None


class NotImplementedSuppressed:
    """A context that suppresses Seldon's error for a missing method."""

    def __enter__(self) -> None:
        """Enters the context."""

    def __exit__(self, kind: object, error: Optional[BaseException], traceback: object) -> bool:
        """Suppresses Seldon's error for a missing method, and no other exception."""
        return error is not None and says_not_implemented(error)


def _seldon_base(kind: type, name: str) -> Any:
    """Returns the class or base class of this name in `seldon_core.user_model`, or None."""
    return next(
        (
            each
            for each in kind.__mro__
            if (each.__module__, each.__name__) == (_USER_MODEL_MODULE, name)
        ),
        None,
    )


def has_method(instance: object, name: str) -> bool:
    """Returns whether the user model itself has an attribute that Seldon looks for.

    Methods inherited from `SeldonComponent` raise `SeldonNotImplementedError`, and do not count.
    """
    if not hasattr(instance, name):
        return False
    inherited = getattr(_seldon_base(type(instance), "SeldonComponent"), name, None)
    if inherited is None:
        return True
    return name in vars(instance) or getattr(type(instance), name, None) is not inherited


def checked_metrics(metrics: Json) -> List[JsonObject]:
    """Checks and returns metrics of the user model.

    Raises:
        UserModelError: the metrics are not a list of objects with `key`, `type` (`COUNTER`,
            `GAUGE` or `TIMER`) and a number as `value`.
    """
    if not isinstance(metrics, list) or not all(map(_is_metric, metrics)):
        raise UserModelError(
            f"Bad metric created during request: {json.dumps(metrics)}",
            status_code=500,
            reason="MICROSERVICE_BAD_METRIC",
        )
    return metrics


def _is_metric(metric: Json) -> bool:
    if not all(part in metric for part in ("key", "value", "type")):
        return False
    try:
        metric["value"] + 1
    except TypeError:
        return False
    return metric["type"] in _METRIC_TYPES


def request_path() -> Mapping[str, str]:
    """Returns Seldon's `meta.requestPath`: the image of the graph's node, by the node's name.

    It is empty if `PREDICTIVE_UNIT_ID` is not set.
    """
    node = os.environ.get("PREDICTIVE_UNIT_ID", _ABSENT)
    return {} if node == _ABSENT else {node: _image()}


def metric_labels() -> Dict[str, str]:
    """Returns the labels that Seldon adds to all metrics of the user model."""
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


def signature_of(function: Callable[..., object]) -> Optional[inspect.Signature]:
    """Returns a function's signature, or None if it is unknown.

    For a decorated function this is the decorator's signature, not that of the wrapped function.
    """
    try:
        return inspect.signature(function, follow_wrapped=False)
    except (TypeError, ValueError):
        return None


def takes(function: Callable[..., object], *positional: object, **named: object) -> bool:
    """Returns whether a function takes these arguments; True if its signature is unknown."""
    signature = signature_of(function)
    try:
        if signature is not None:
            signature.bind(*positional, **named)
    except TypeError:
        return False
    return True
