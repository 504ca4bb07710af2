"""Logs what Seldon's server is asked over REST and gRPC, and answers only what is logged.

`seldon-core-microservice seldon_kafka.request_log.over_seldon.logged` serves the class that
`MODEL_NAME` names. Its server knows a model as an object with methods; this one has a
`predict_raw` around all that the class does. (A hook in the REST server, such as
`model_error_handler`, would not see gRPC.)
"""

from __future__ import annotations

import importlib
import json
import logging
import os
from typing import Any, Dict, List, Optional

import flask
import orjson
from google.protobuf import json_format
from seldon_core import seldon_methods
from seldon_core.flask_utils import SeldonMicroserviceException
from seldon_core.proto.prediction_pb2 import SeldonMessage
from seldon_core.user_model import INCLUDE_METRICS_IN_CLIENT_RESPONSE, SeldonNotImplementedError

from seldon_kafka.config.settings import load_settings
from seldon_kafka.errors import MESSAGE_LIMIT, words_of
from seldon_kafka.request_log.call_log import CallLog
from seldon_kafka.transport.log_entry import (
    JSON_TYPE,
    NO_CONTENT,
    PROTOBUF_TYPE,
    Content,
    Verdict,
    as_base64,
    as_json,
    as_text_or_base64,
)
from seldon_kafka.transport.topic_writer import NotWritten

log = logging.getLogger("seldon_kafka.request_log")

# Seldon's executor names a request by this, and tells its sender the same.
_PUID_HEADER = "Seldon-Puid"


class NotLogged(SeldonMicroserviceException):  # type: ignore[misc]
    """A request that can't be logged just now, and so is not answered: status 503."""

    def __init__(self, why: str) -> None:
        message = f"the request can't be logged, so it is not answered: {why}"
        super().__init__(message, status_code=503, reason="request_not_logged")

    def __str__(self) -> str:
        """The message; the base class has none here, and gRPC errors would be blank."""
        return str(self.message)


class _Metrics:
    """Stands in for `seldon_core.metrics.SeldonMetrics`: the server counts what is found later."""

    def __init__(self) -> None:
        self.found: List[Dict[str, Any]] = []

    def update(self, metrics: List[Dict[str, Any]], method: str) -> None:
        """Seldon's functions call this with what the class measured."""
        self.found.extend(metrics)


class Logged:
    """A wrapper class's instance, with every prediction logged.

    Args:
        instance: whatever Seldon's server would serve.
        call_log: where to.
    """

    def __init__(self, instance: Any, call_log: CallLog) -> None:
        self._instance = instance
        self._log = call_log

    def __getattr__(self, name: str) -> Any:
        """All else is the class's own."""
        # Its older names of predict_raw would be called in place of ours.
        if name in ("predict_rest", "predict_grpc"):
            raise AttributeError(name)
        return getattr(self._instance, name)

    def predict_raw(self, msg: Any) -> Any:
        """Answers as Seldon's server would without us, and logs it.

        Args:
            msg: a message as the server got it: parsed JSON, a `SeldonMessage`, or bytes.

        Raises:
            NotLogged: the brokers don't take the record.
            Exception: whatever the class, or Seldon's code around it, raises.
        """
        # Before the class can change it.
        request = _content(msg)
        metrics = _Metrics()
        try:
            reply = seldon_methods.predict(self._instance, msg, metrics)
        except Exception as error:
            self._write(msg, None, request, NO_CONTENT, _verdict(error))
            if isinstance(error, SeldonNotImplementedError):
                # By this very exception a predict_raw says that the server is to try otherwise.
                raise RuntimeError(words_of(error)) from error
            raise
        self._write(msg, reply, request, _content(reply), None)
        if metrics.found and not INCLUDE_METRICS_IN_CLIENT_RESPONSE:
            _add_metrics(reply, metrics.found)
        return reply

    def _write(
        self, msg: Any, reply: Any, request: Content, response: Content, verdict: Optional[Verdict]
    ) -> None:
        transport = "grpc" if isinstance(msg, SeldonMessage) else "rest"
        puid = _puid_in(reply) or _puid_in(msg) or _puid_beside()
        try:
            self._log.log(transport, puid, request, response, verdict)
        except NotWritten as error:
            log.error("a request is not answered, because it can't be logged: %s", error)
            raise NotLogged(str(error)) from error


def logged(**parameters: Any) -> Logged:
    """The class that `MODEL_NAME` names, made of Seldon's parameters, and logged.

    Raises:
        SettingsError: a setting is wrong, or there is no broker.
    """
    module_name, _, class_name = os.environ["MODEL_NAME"].rpartition(".")
    module = importlib.import_module(module_name or class_name)
    call_log = CallLog(load_settings())
    return Logged(getattr(module, class_name)(**parameters), call_log)


def _content(message: Any) -> Content:
    if isinstance(message, SeldonMessage):
        return as_base64(message.SerializeToString(), PROTOBUF_TYPE)
    if isinstance(message, (bytes, str)):
        value = message.encode("utf-8", "replace") if isinstance(message, str) else message
        return as_text_or_base64(value, "")
    try:
        return as_json(orjson.dumps(message, option=orjson.OPT_SERIALIZE_NUMPY), JSON_TYPE)
    except TypeError:
        # Numbers of more than 64 bits, among others, which readers of JSON may round.
        return as_text_or_base64(json.dumps(message, default=str).encode("utf-8"), JSON_TYPE)


def _puid_in(message: Any) -> str:
    if isinstance(message, SeldonMessage):
        return str(message.meta.puid)
    if not isinstance(message, dict):
        return ""
    meta = message.get("meta")
    puid = meta.get("puid") if isinstance(meta, dict) else message.get("id")
    return puid if isinstance(puid, str) else ""


def _puid_beside() -> str:
    """The name that Seldon's executor gave to a REST request that has none in itself."""
    return flask.request.headers.get(_PUID_HEADER, "") if flask.has_request_context() else ""


def _verdict(error: Exception) -> Verdict:
    status = getattr(error, "status_code", None)
    is_senders = isinstance(status, int) and 400 <= status < 500
    reason = str(getattr(error, "reason", "")) or "predict_failed"
    return Verdict(reason, words_of(error)[:MESSAGE_LIMIT], not is_senders)


def _add_metrics(reply: Any, metrics: List[Dict[str, Any]]) -> None:
    """Puts metrics where the server counts them, and takes them out again."""
    if isinstance(reply, SeldonMessage):
        json_format.ParseDict({"metrics": metrics}, reply.meta)
    elif isinstance(reply, dict):
        reply.setdefault("meta", {})["metrics"] = metrics
