"""The user model: an instance of a Seldon wrapper class, called as Seldon calls it."""

from __future__ import annotations

import base64
import contextlib
import copy
import inspect
import json
import logging
from typing import (
    Callable,
    Iterable,
    Iterator,
    List,
    Optional,
    Sequence,
    Tuple,
)

import numpy as np
from google.protobuf import json_format

from seldon_kafka.codec.plain import NotPlain, frame_rows, is_finite, plain
from seldon_kafka.codec.seldon_messages import (
    SeldonMessage,
    for_user_model,
    is_any,
    is_seldon_message,
    own_copy,
)
from seldon_kafka.codec.seldon_proto import not_finite
from seldon_kafka.errors import BadPrediction
from seldon_kafka.messages import Array, Json, JsonObject, Payload, Prediction
from seldon_kafka.pipeline.error_handler import ModelErrors
from seldon_kafka.pipeline.seldon_api import (
    INCLUDES_METRICS,
    SERVICES,
    NotImplementedSuppressed,
    Service,
    checked_metrics,
    has_method,
    request_path,
    response_of,
    says_not_implemented,
    signature_of,
    takes,
)
from seldon_kafka.pipeline.stacking import check_rows

log = logging.getLogger("seldon_kafka.worker")


class ClassExited(Exception):
    """The user model called `sys.exit`."""


class RawReplyFailed(Exception):
    """A raw reply has a status code of 400 or more.

    Attributes:
        status_code: the reply's `status.code`.
        reason: the reply's `status.reason`.
        status: the reply's whole `status`.
    """

    def __init__(self, status: JsonObject) -> None:
        super().__init__(str(status.get("info") or status.get("reason") or "the reply failed"))
        self.status_code = int(status["code"])
        self.reason = str(status.get("reason") or "")
        self.status = status

    def to_dict(self) -> JsonObject:
        """Returns an object whose key `status` has the reply's `status`."""
        return {"status": self.status}


_ANSWERS = (np.ndarray, list, str, bytes, bytearray, dict)
_METRIC_KEYS = ("type", "key", "value", "tags")
_SEQUENCES = (list, tuple, set, frozenset, np.ndarray)
_SCALAR_TYPES = frozenset((str, int, float, bool, bytes, type(None)))


class _Metrics:
    """Holds the metrics of one call until the message is answered.

    It replaces `seldon_core.metrics.SeldonMetrics`, which starts a process of its own.
    """

    def __init__(self) -> None:
        self._reported: List[JsonObject] = []

    def update(self, metrics: List[JsonObject], method: str) -> None:
        """Adds metrics that the user model reported.

        Args:
            metrics: the metrics; the tag `method` is written into those that have `tags`.
            method: the value of the tag `method`.
        """
        for metric in metrics:
            # As in Seldon, a metric without `tags` gets the tag `method` in Prometheus only, not in
            # the reply.
            tags = metric.get("tags", {})
            tags["method"] = method
            reported = {"type": "COUNTER", **metric, "tags": dict(tags)}
            self._reported.append({part: reported[part] for part in _METRIC_KEYS})

    def take(self) -> List[JsonObject]:
        """Returns the reported metrics, and forgets them."""
        reported, self._reported = self._reported, []
        return reported


@contextlib.contextmanager
def _exit_as_error() -> Iterator[None]:
    """Turns `sys.exit` in the user model into an error of the call."""
    try:
        yield
    except SystemExit as error:
        raise ClassExited(f"the class called sys.exit({error.code!r})") from error


class UserModel:
    """A user model and its capabilities.

    Most methods run code of the user model, so only the thread that created the user model may call
    the methods.

    Args:
        instance: the instance of the wrapper class.
        service: names of the methods to call.
        null_non_finite: keep NaN and infinity in answers, for which replies have null; by default
            such answers are refused.

    Attributes:
        instance: the instance of the wrapper class.
        to_rows: the class's `to_rows`, which turns a payload into rows for `predict`; None if the
            class lacks it.
        stack_to_rows: the class's `stack_to_rows`, which turns the payloads of many messages into
            rows, an equal number for each message; None if the class lacks it or `to_rows`. Its
            argument is a uint8 array (messages, ...), or a list of bytes objects of equal length.
        row_tags: names of the tags that have one entry for each row.
        constant_tags: names of the tags that are the same in every answer.
        takes_raw: whether the class composes whole replies (`predict_raw` and its older names).
        needs_request: whether the class gets more of a message than the payload: its `meta`, or the
            whole message.
        why_single: why the class is called message by message; None if rows may be stacked.
        errors: describes exceptions of the class.
    """

    def __init__(
        self,
        instance: Json,
        service: Service = SERVICES["MODEL"],
        *,
        null_non_finite: bool = False,
    ) -> None:
        self.instance = instance
        self._service = service
        self._non_finite = null_non_finite
        self.to_rows = self._extra_function("to_rows")
        self.stack_to_rows = self.to_rows and self._extra_function("stack_to_rows")
        self.row_tags = self._extra_names("row_tags")
        self.constant_tags = self._extra_names("constant_tags")
        # A class with `to_rows` declares that `predict` on rows is enough. Its raw methods are for
        # formats that Seldon's own server does not support.
        self.takes_raw = self.to_rows is None and any(
            has_method(instance, name) for name in service.raw_names
        )
        self._takes_meta = _takes_meta(getattr(instance, service.method, None))
        self.needs_request = self.takes_raw or self._takes_meta is not False
        self._metrics = _Metrics()
        self._request_path = request_path()
        self.errors = ModelErrors(instance)
        self.why_single = self._why_never_stacked() or self._why_undeclared()

    def _extra(self, name: str) -> Json:
        """Returns an optional attribute of the class; `__getattr__` does not count."""
        if inspect.getattr_static(self.instance, name, None) is None:
            return None
        return getattr(self.instance, name)

    def _extra_function(self, name: str) -> Optional[Callable[[Json], Array]]:
        """Returns an optional method that takes one argument; None if the class lacks it.

        It returns None for transformers too, because only models have such methods.
        """
        method = self._extra(name) if self._service.method == "predict" else None
        if not callable(method) or not takes(method, None):
            return None

        def call(payload: Json) -> Json:
            with _exit_as_error():
                return method(payload)

        return call

    def _extra_names(self, name: str) -> Tuple[str, ...]:
        names = self._extra(name)
        if not isinstance(names, (list, tuple, set, frozenset)):
            return ()
        return tuple(each for each in names if isinstance(each, str))

    @property
    def stacks(self) -> bool:
        """Whether rows of several messages may go into one call."""
        return self.why_single is None

    def declare(self) -> None:
        """Declares the user model row-wise, for `KAFKA_BATCHING=on`."""
        self.why_single = self._why_never_stacked()

    def call_singly(self, why: str) -> None:
        """Ends stacking; further calls are message by message, for the reason `why`."""
        self.why_single = why

    def _why_undeclared(self) -> Optional[str]:
        if self.to_rows is not None or self._extra("row_wise") is True:
            return None
        return UNDECLARED

    def _why_never_stacked(self) -> Optional[str]:
        if self._service.method != "predict":
            return f"{self._service.method} is called with one message at a time"
        if self.takes_raw:
            return "the class has predict_raw, which gets one whole message"
        if self._takes_meta is not False:
            return "predict takes meta, which differs from message to message"
        for method in ("tags", "metrics"):
            if has_method(self.instance, method):
                return f"the class has a {method} method, which describes the latest call only"
        return None

    def predict_rows(self, rows: Json, names: Sequence[str]) -> Prediction:
        """Calls `predict` once for the rows of one or many messages.

        Args:
            rows: the argument X of `predict`; the user model may change it.
            names: feature names.

        Returns:
            The prediction for all rows.

        Raises:
            BadPrediction: the answer can't be sent as a reply.
            Exception: an error of the user model.
        """
        with _exit_as_error():
            self._metrics.take()
            return self._finished(self._call(rows, list(names), None))

    def predict_payload(self, payload: Payload) -> Prediction:
        """Answers one message.

        Raises:
            BadPrediction: the answer can't be sent as a reply.
            Exception: an error of the user model.
        """
        with _exit_as_error():
            self._metrics.take()
            data = copy_data(payload.data)
            if self.to_rows is not None:
                data = self.to_rows(data)
            names = list(payload.names) if isinstance(payload.names, tuple) else payload.names
            prediction = self._finished(self._call(data, names, meta_of(payload)))
        if self.to_rows is not None:
            # `to_rows` declares one answer for each row.
            check_rows(prediction, len(data))
        return prediction

    def predict_raw(self, request: Json) -> Optional[Prediction]:
        """Answers one whole message; returns None if `predict_payload` must be called instead.

        Args:
            request: any JSON document, or a `SeldonMessage`.

        Raises:
            BadPrediction: the reply can't be sent.
            RawReplyFailed: the reply has an error status.
            Exception: an error of the user model.
        """
        method = self._raw_method(request)
        if method is None:
            return None
        with _exit_as_error():
            self._metrics.take()
            given = for_user_model(request) if isinstance(request, SeldonMessage) else request
            try:
                reply = getattr(self.instance, method)(given)
            except Exception as error:
                if not says_not_implemented(error) or method != self._service.raw:
                    raise
                return None
            return self._finished_raw(reply, counts_metrics=method == self._service.raw)

    def _raw_method(self, request: Json) -> Optional[str]:
        """Returns the name of the raw method that Seldon calls for this message, or None."""
        service, is_proto = self._service, isinstance(request, SeldonMessage)
        older = [service.raw_of_proto if is_proto else service.raw_of_json]
        if service.method != "predict":
            # For a transformer, Seldon calls either of the older methods for any format.
            older = [service.raw_of_json, service.raw_of_proto]
        names = [name for name in (*older, service.raw) if has_method(self.instance, name)]
        return names[0] if names else None

    def _finished_raw(self, reply: Json, *, counts_metrics: bool) -> Prediction:
        metrics: List[Json] = []
        if is_seldon_message(reply):
            reply = self._copied_message(reply)
            # The message is converted through JSON text, as in Seldon.
            document = json.loads(json_format.MessageToJson(reply))
        else:
            reply = document = self._plain(reply, "reply")
        if isinstance(document, dict):
            _check_status(document.get("status"))
            metrics = (document.get("meta") or {}).get("metrics") or []
        if counts_metrics and metrics:
            self._metrics.update(copy.deepcopy(metrics), self._service.metrics_tag)
            if not INCLUDES_METRICS:
                _leave_out_metrics(reply)
            elif self._non_finite:
                _leave_out_non_finite_metrics(reply)
        return Prediction(reply, (), {}, (), [], raw=True, reported=self._metrics.take())

    def _copied_message(self, reply: Json) -> Json:
        copied = own_copy(reply)
        found = not_finite(copied)
        if found and not self._non_finite:
            raise BadPrediction(f"reply.{found}")
        return copied

    def _call(self, data: Json, names: Json, meta: Json) -> Json:
        """Calls the method with a payload, as `seldon_core.user_model` does."""
        method = getattr(self.instance, self._service.method)
        try:
            if self._takes_meta is False:
                return response_of(method(data, names))
            try:
                return response_of(method(data, names, meta=meta))
            except TypeError:
                return response_of(method(data, names))
        except Exception as error:
            if not says_not_implemented(error):
                raise
            # Seldon's server gives the same answer for a class that lacks the method.
            return response_of([] if self._service.method == "predict" else data)

    def own_meta(self, meta: Json) -> Json:
        """Returns a copy of a message's `meta` in plain values, after the call.

        Raises:
            BadPrediction: the user model wrote values into `meta` that can't be sent.
        """
        return self._plain(meta, "meta")

    def raw_answer(self, data: Json, payload: Payload) -> Json:
        """Returns the data of the method's answer, not copied, for `seldon_kafka.check`.

        Raises:
            Exception: an error of the user model.
        """
        return self._call(data, list(payload.names), meta_of(payload)).data

    def _finished(self, response: Json) -> Prediction:
        """Turns a response into a prediction.

        The metrics, class names and tags come from the user model, and are read in Seldon's order.

        Raises:
            BadPrediction: the response has a value that can't be sent.
            Exception: an error of the user model.
        """
        data, columns = response.data, None
        frame = frame_rows(data)
        if frame is not None:
            data, columns = frame
        if not isinstance(data, _ANSWERS) and not is_any(data):
            raise BadPrediction(
                f"{self._service.method} returned {type(data).__name__}, which is no reply"
            )
        metrics = self._reported(response.metrics)
        metrics = [each for each in self._plain(metrics, "metrics") if is_finite(each["value"])]
        # The answer is copied before further calls of the user model, which may change it.
        copied = (
            bytes(data) if isinstance(data, (bytes, bytearray)) else self._plain(data, "answer")
        )
        names: Json = ()
        if isinstance(data, (np.ndarray, list)):
            names = self._class_names(_rectangular(data), columns)
        tags = {**self._own_tags(), **dict(response.tags or {})}
        return Prediction(
            copied,
            self._plain(names, "names"),
            self._plain(tags, "tags"),
            self.row_tags,
            metrics,
            reported=self._plain(self._metrics.take(), "metrics"),
            request_path=self._request_path,
        )

    def _reported(self, metrics: Json) -> List[JsonObject]:
        """Stores metrics of an answer and of `metrics()`; returns the metrics for the reply."""
        reported = checked_metrics(metrics)
        self._metrics.update(reported, self._service.metrics_tag)
        if has_method(self.instance, "metrics"):
            with NotImplementedSuppressed():
                own_metrics = checked_metrics(self.instance.metrics())
                self._metrics.update(own_metrics, self._service.metrics_tag)
                reported = own_metrics + reported
        return reported if INCLUDES_METRICS else []

    def _plain(self, value: Json, path: str) -> Json:
        if isinstance(value, list) and not value:
            return []
        try:
            return plain(value, path, non_finite=self._non_finite)
        except NotPlain as error:
            raise BadPrediction(str(error)) from None

    def _class_names(self, rows: Array, columns: Optional[List[Json]]) -> Json:
        """Returns class names as `seldon_core.user_model` does, or a DataFrame's columns."""
        if rows.ndim < 2:
            return ()
        if has_method(self.instance, "class_names"):
            attribute = self.instance.class_names
            with NotImplementedSuppressed():
                names = attribute() if callable(attribute) else attribute
                return list(names) if isinstance(names, _SEQUENCES) else names
        return columns or [f"t:{number}" for number in range(rows.shape[1])]

    def _own_tags(self) -> JsonObject:
        if not has_method(self.instance, "tags"):
            return {}
        with NotImplementedSuppressed():
            return dict(self.instance.tags() or {})
        return {}

    def describe(self, payload: Json) -> str:
        """Returns a text about the payload: from the class's `describe`, or a short `repr`."""
        describe = self._extra("describe")
        if describe is not None:
            return str(describe(payload))
        text = repr(payload)
        return text if len(text) <= 200 else text[:200] + "…"


UNDECLARED = "the class does not declare that it is row-wise (row_wise = True, or to_rows)"
"""The value of `why_single` for a class that nothing but the missing declaration keeps single."""


def copy_data(data: Json) -> Json:
    """Returns a copy of a payload's data, because a user model may change its input."""
    if isinstance(data, np.ndarray):
        has_others = data.dtype.kind == "O" and not _are_scalars(data.flat)
        return copy.deepcopy(data) if has_others else np.array(data)
    if isinstance(data, list) and _are_scalars(data):
        return list(data)
    return copy.deepcopy(data)


def _are_scalars(values: Iterable[Json]) -> bool:
    """Returns whether all values are of types that contain no other values."""
    return all(type(value) in _SCALAR_TYPES for value in values)


def meta_of(payload: Payload) -> Json:
    """Returns the `meta` that Seldon passes: the sender's, or else `{}` or None.

    Without `meta` of the sender it is `{}` for a protobuf message, and None for other messages.
    """
    if payload.meta or isinstance(payload.request, SeldonMessage):
        return payload.meta
    return payload.request.get("meta") if isinstance(payload.request, dict) else None


def raw_request(payload: Payload) -> Json:
    """Returns the whole message for raw methods; a binary message becomes JSON with `binData`."""
    if payload.request is not None:
        return payload.request
    return {"binData": base64.b64encode(payload.data).decode("ascii")}


def _check_status(status: Json) -> None:
    """Checks the status of a raw reply.

    Raises:
        RawReplyFailed: the status code is 400 or more.
    """
    code = status.get("code") if isinstance(status, dict) else None
    if isinstance(code, (int, float)) and code >= 400:
        raise RawReplyFailed(status)


def _leave_out_metrics(reply: Json) -> None:
    if isinstance(reply, SeldonMessage):
        del reply.meta.metrics[:]
    else:
        del reply["meta"]["metrics"]


def _leave_out_non_finite_metrics(reply: Json) -> None:
    is_proto = isinstance(reply, SeldonMessage)
    metrics = reply.meta.metrics if is_proto else reply["meta"]["metrics"]
    for index in range(len(metrics) - 1, -1, -1):
        value = metrics[index].value if is_proto else metrics[index].get("value")
        if not is_finite(value):
            del metrics[index]


def _takes_meta(method: Json) -> Optional[bool]:
    """Returns whether a method takes `meta`; None if its signature is unknown."""
    if method is None:
        return False
    signature = signature_of(method)
    if signature is None:
        return None
    return any(
        parameter.name == "meta" or parameter.kind is inspect.Parameter.VAR_KEYWORD
        for parameter in signature.parameters.values()
    )


def _rectangular(data: Json) -> Array:
    try:
        return np.asarray(data)
    except ValueError as error:
        raise BadPrediction(f"predict returned rows that differ in length: {error}") from error
