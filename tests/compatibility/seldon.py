"""Seldon's own servers around one class, as its microservice makes them."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import logging
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
from google.protobuf.message import DecodeError
from seldon_core import seldon_methods
from seldon_core import utils as seldon_utils
from seldon_core.metrics import SeldonMetrics
from seldon_core.proto import prediction_pb2
from seldon_core.proto.tensorflow.core.framework.tensor_pb2 import TensorProto as TheirTensor
from seldon_core.wrapper import SeldonModelGRPC, get_rest_microservice
from werkzeug.test import EnvironBuilder, run_wsgi_app

from seldon_kafka.codec import tf_tensor
from seldon_kafka.codec.seldon_messages import DefaultData
from tests.compatibility.answer import (
    Answer,
    Rejection,
    json_reply,
    parsed,
    protobuf_reply,
)
from tests.compatibility.classes.case import Case
from tests.compatibility.payloads import Payload

_PATHS = {
    "MODEL": "/predict",
    "TRANSFORMER": "/transform-input",
    "OUTPUT_TRANSFORMER": "/transform-output",
}
_PROCEDURES = {
    "MODEL": "Predict",
    "TRANSFORMER": "TransformInput",
    "OUTPUT_TRANSFORMER": "TransformOutput",
}
_PARSERS: dict[str, Callable[[str], Any]] = {
    "INT": int,
    "FLOAT": float,
    "STRING": str,
    "BOOL": lambda text: text == "true",
}


class LocalMetrics(SeldonMetrics):  # type: ignore[misc]
    """Seldon's metrics without the process that shares them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.data: dict[int, Any] = {}
        self.worker_id_func = lambda: 0
        self._extra_default_labels: dict[str, str] = {}

    def __del__(self) -> None:
        """There is no process to stop."""


class _Current:
    """Stands for the instance, so that one Flask app serves a new instance each time."""

    def __init__(self, instance: Any) -> None:
        self.instance = instance

    def __getattr__(self, name: str) -> Any:
        return getattr(self.instance, name)


def made(case: Case) -> Any:
    """A loaded instance, made as Seldon's microservice makes it."""
    instance = case.factory(**{name: _PARSERS[kind](text) for name, text, kind in case.parameters})
    with contextlib.suppress(NotImplementedError, AttributeError):
        instance.load()
    return instance


class Reference:
    """Answers as Seldon's servers do, for one class.

    Attributes:
        array: the latest answer as an array; None if it was none.
        is_raw: whether the class composed the latest reply itself.
    """

    def __init__(self, case: Case) -> None:
        logging.getLogger("seldon_core").setLevel(logging.CRITICAL)
        self._case = case
        self._current = _Current(made(case))
        metrics = LocalMetrics()
        self._app = get_rest_microservice(self._current, metrics)
        builder = EnvironBuilder(path=_PATHS[case.service_type], method="POST")
        self._environ = builder.get_environ()
        self._environ["CONTENT_TYPE"] = "application/json"
        self._grpc = getattr(
            SeldonModelGRPC(self._current, metrics), _PROCEDURES[case.service_type]
        )
        self.array: Any = None
        self.is_raw = False

    def restart(self) -> None:
        """Goes on with a new instance."""
        self._current.instance = made(self._case)

    def as_seldon(self, payload: Payload) -> Answer:
        """Seldon's own answer to the message, whatever the runtime makes of it."""
        if payload.route == "seldon-protobuf":
            return self._call(payload.value or b"")
        if payload.route == "bytes":
            text = base64.b64encode(payload.value or b"").decode("ascii")
            return self._post(json.dumps({"binData": text}).encode("ascii"))
        return self._post(payload.value or b"")

    def intended(self, payload: Payload) -> Answer:
        """The answer that the runtime is to give: Seldon's, for the array that is meant."""
        with self._watched(payload):
            if payload.array is None and not payload.is_refused:
                return self.as_seldon(payload)
            with _given(payload):
                return self.as_seldon(payload)

    def _post(self, value: bytes) -> Answer:
        """Calls the app as Flask's test client does, in half the time."""
        length = str(len(value))
        environ = {**self._environ, "wsgi.input": io.BytesIO(value), "CONTENT_LENGTH": length}
        try:
            parts, status, _ = run_wsgi_app(self._app, environ, buffered=True)
        except SystemExit as error:
            return Rejection("SystemExit", str(error.code), True)
        body, code = b"".join(parts), int(status.split()[0])
        if code >= 400:
            return Rejection(f"http {code}", body.decode("utf-8"), code >= 500)
        return json_reply(body)

    def _call(self, value: bytes) -> Answer:
        try:
            response = self._grpc(parsed(value), None)
        except DecodeError as error:
            return Rejection("DecodeError", str(error), False)
        except (Exception, SystemExit) as error:
            return Rejection(type(error).__name__, str(error), True)
        if not isinstance(response, prediction_pb2.SeldonMessage):
            return Rejection("no message", f"{type(response)} can't be sent over gRPC", True)
        try:
            return protobuf_reply(parsed(response.SerializeToString()))
        except Exception as error:
            return Rejection(type(error).__name__, str(error), True)

    @contextlib.contextmanager
    def _watched(self, payload: Payload) -> Iterator[None]:
        """Notes what Seldon composes a JSON reply of; foreign requests count as `ndarray`."""
        self.array, self.is_raw = None, True
        compose = seldon_methods.construct_response_json
        is_foreign = payload.route in ("v2", "tfserving")

        def noting(model: Any, is_request: bool, request: Any, answer: Any, *rest: Any) -> Any:
            self.is_raw = False
            if isinstance(answer, (np.ndarray, list)):
                self.array = np.asarray(answer)
            if is_foreign:
                request = {"data": {"ndarray": []}, "meta": {"puid": request.get("id")}}
            return compose(model, is_request, request, answer, *rest)

        with (
            mock.patch.object(seldon_methods, "construct_response_json", noting),
            mock.patch.object(seldon_utils, "tf", _TENSORFLOW, create=True),
            mock.patch.object(seldon_utils, "TensorProto", TheirTensor, create=True),
        ):
            yield


def _make_ndarray(tensor: Any) -> Any:
    data = DefaultData()
    data.tftensor.ParseFromString(tensor.SerializeToString())
    return tf_tensor.of_proto(data)


def _make_tensor_proto(array: Any) -> Any:
    return TheirTensor.FromString(tf_tensor.to_proto(np.asarray(array)).SerializeToString())


# What Seldon needs TensorFlow for; test_tf_tensor.py holds both equal where TensorFlow is.
_TENSORFLOW = SimpleNamespace(make_ndarray=_make_ndarray, make_tensor_proto=_make_tensor_proto)


class _RefusedError(Exception):
    """The runtime refuses such a message before the class sees it."""


@contextlib.contextmanager
def _given(payload: Payload) -> Iterator[None]:
    """Hands the class the array that is meant, in place of Seldon's own reading."""
    make = payload.array

    def of_json(request: Any) -> Any:
        if make is None:
            raise _RefusedError
        datadef = request.get("data")
        meta = request.get("meta", {"puid": request["id"]} if "id" in request else None)
        return make(), meta, datadef, "data"

    def of_protobuf(request: Any) -> Any:
        if make is None:
            raise _RefusedError
        return make(), read(request)[1], request.data, "data"

    read = seldon_methods.extract_request_parts
    with (
        mock.patch.object(seldon_methods, "extract_request_parts_json", of_json),
        mock.patch.object(seldon_methods, "extract_request_parts", of_protobuf),
    ):
        yield
