"""Logs requests to Seldon's server over REST and gRPC; a request that can't be logged fails.

`seldon-core-microservice seldon_kafka.request_log.over_seldon.logged` serves the class that
`MODEL_NAME` names. Seldon's server calls `predict_raw` of a `Logged` object, which calls the class.
A hook in the REST server, such as `model_error_handler`, would miss requests over gRPC.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import time
import uuid
from typing import Any, List, Optional

import flask
import orjson
from google.protobuf import json_format
from seldon_core import seldon_methods
from seldon_core.flask_utils import SeldonMicroserviceException
from seldon_core.proto.prediction_pb2 import SeldonMessage
from seldon_core.user_model import INCLUDE_METRICS_IN_CLIENT_RESPONSE, SeldonNotImplementedError

from seldon_kafka.codec.feedback import LONGEST_PUID
from seldon_kafka.config.clients import most_log_bytes
from seldon_kafka.config.rights import request_log_rights
from seldon_kafka.config.settings import Settings, load_settings
from seldon_kafka.errors import MESSAGE_LIMIT, describe_error
from seldon_kafka.messages import Json, JsonObject
from seldon_kafka.transport.log_entry import (
    ENVELOPE_BYTES,
    JSON_TYPE,
    NO_CONTENT,
    PROTOBUF_TYPE,
    Content,
    Entry,
    Verdict,
    as_base64,
    as_json,
    as_text_or_base64,
    author_of,
    common_headers,
    fitting,
    headers_of,
    rfc3339,
)
from seldon_kafka.transport.topic_writer import WITHIN_S, NotWritten, TopicWriter

log = logging.getLogger("seldon_kafka.request_log")

# Seldon's executor sets this header to the id of the request, and returns the id to the sender.
_PUID_HEADER = "Seldon-Puid"


class NotLogged(SeldonMicroserviceException):  # type: ignore[misc]
    """A request can't be logged, so the server answers with status 503 and no prediction."""

    def __init__(self, why: str) -> None:
        message = f"the request can't be logged, so it is not answered: {why}"
        super().__init__(message, status_code=503, reason="request_not_logged")

    def __str__(self) -> str:
        """Returns the message, which the base class omits, so that a gRPC error has a text."""
        return str(self.message)


class _Metrics:
    """Collects metrics in place of `seldon_core.metrics.SeldonMetrics`.

    The server counts the metrics later, from the reply.
    """

    def __init__(self) -> None:
        self.found: List[JsonObject] = []

    def update(self, metrics: List[JsonObject], method: str) -> None:
        """Adds metrics of one call; `seldon_methods.predict` calls this method."""
        self.found.extend(metrics)


class Logged:
    """Wraps an instance of the user model, and logs every prediction.

    Args:
        instance: the instance that Seldon's server would otherwise serve.
        call_log: writes the entries.
    """

    def __init__(self, instance: Any, call_log: CallLog) -> None:
        self._instance = instance
        self._log = call_log

    def __getattr__(self, name: str) -> Any:
        """Returns any other attribute of the instance."""
        # If these older names of predict_raw existed, Seldon's server would call them.
        if name in ("predict_rest", "predict_grpc"):
            raise AttributeError(name)
        return getattr(self._instance, name)

    def predict_raw(self, msg: Json) -> Any:
        """Predicts as Seldon's server does without `Logged`, and logs the request with its outcome.

        Args:
            msg: the request as parsed JSON, as a `SeldonMessage`, or as bytes.

        Raises:
            NotLogged: the entry can't be written.
            Exception: an error of the class, or of Seldon's code that calls it.
        """
        # The class may change the message, so the content is copied first.
        request = _content(msg)
        metrics = _Metrics()
        try:
            reply = seldon_methods.predict(self._instance, msg, metrics)
        except Exception as error:
            self._write(msg, None, request, NO_CONTENT, _verdict(error))
            if isinstance(error, SeldonNotImplementedError):
                # On this exception from predict_raw, the server would call another method.
                raise RuntimeError(describe_error(error)) from error
            raise
        self._write(msg, reply, request, _content(reply), None)
        if metrics.found and not INCLUDE_METRICS_IN_CLIENT_RESPONSE:
            _add_metrics(reply, metrics.found)
        return reply

    def _write(
        self,
        msg: Json,
        reply: Json,
        request: Content,
        response: Content,
        verdict: Optional[Verdict],
    ) -> None:
        transport = "grpc" if isinstance(msg, SeldonMessage) else "rest"
        puid = _puid_in(reply) or _puid_in(msg) or _puid_in_header()
        try:
            self._log.log(transport, puid, request, response, verdict)
        except NotWritten as error:
            log.error("a request is not answered, because it can't be logged: %s", error)
            raise NotLogged(str(error)) from error


def logged(**parameters: Any) -> Logged:
    """Creates an instance of the class that `MODEL_NAME` names, and wraps it in `Logged`.

    Args:
        parameters: the parameters that Seldon passes to the constructor of the class.

    Raises:
        SettingsError: a setting is wrong, or no broker is set.
    """
    module_name, _, class_name = os.environ["MODEL_NAME"].rpartition(".")
    module = importlib.import_module(module_name or class_name)
    call_log = CallLog(load_settings())
    return Logged(getattr(module, class_name)(**parameters), call_log)


def _content(message: Json) -> Content:
    if isinstance(message, SeldonMessage):
        return as_base64(message.SerializeToString(), PROTOBUF_TYPE)
    if isinstance(message, (bytes, str)):
        value = message.encode("utf-8", "replace") if isinstance(message, str) else message
        return as_text_or_base64(value, "")
    try:
        return as_json(orjson.dumps(message, option=orjson.OPT_SERIALIZE_NUMPY), JSON_TYPE)
    except TypeError:
        # For example, a number beyond 64 bits; readers of JSON may round it, so the entry has text.
        return as_text_or_base64(json.dumps(message, default=str).encode("utf-8"), JSON_TYPE)


def _puid_in(message: Json) -> str:
    """Returns `meta.puid` of a message, or `id` of one without `meta`; empty if there is none."""
    if isinstance(message, SeldonMessage):
        return str(message.meta.puid)
    if not isinstance(message, dict):
        return ""
    meta = message.get("meta")
    puid = meta.get("puid") if isinstance(meta, dict) else message.get("id")
    return puid if isinstance(puid, str) else ""


def _puid_in_header() -> str:
    """Returns the `puid` from the header that Seldon's executor sets; empty if there is none."""
    return flask.request.headers.get(_PUID_HEADER, "") if flask.has_request_context() else ""


def _verdict(error: Exception) -> Verdict:
    status = getattr(error, "status_code", None)
    is_senders = isinstance(status, int) and 400 <= status < 500
    reason = str(getattr(error, "reason", "")) or "predict_failed"
    return Verdict(reason, describe_error(error)[:MESSAGE_LIMIT], not is_senders)


def _add_metrics(reply: Json, metrics: List[JsonObject]) -> None:
    """Adds metrics to the reply; the server counts them and removes them from the reply."""
    if isinstance(reply, SeldonMessage):
        json_format.ParseDict({"metrics": metrics}, reply.meta)
    elif isinstance(reply, dict):
        reply.setdefault("meta", {})["metrics"] = metrics


class CallLog:
    """Writes entries of requests over REST and gRPC; several threads may share an instance.

    Args:
        settings: brokers, topic, and size limits.
        within_s: longest wait for the brokers, in seconds.

    Raises:
        SettingsError: no broker is set.
    """

    def __init__(self, settings: Settings, within_s: float = WITHIN_S) -> None:
        most = most_log_bytes(settings)
        self._most = most - ENVELOPE_BYTES
        self._author = author_of(settings.group_id, "calls", settings.worker_id, os.environ)
        rights = request_log_rights(settings)
        self._writer = TopicWriter(
            settings, settings.log_topic, rights, "worker", within_s, message_max_bytes=most
        )

    def log(
        self,
        transport: str,
        puid: str,
        request: Content,
        response: Content,
        verdict: Optional[Verdict] = None,
    ) -> None:
        """Writes an entry, and waits until the brokers acknowledge it.

        If the request or the reply does not fit, the entry omits it and says so.

        Args:
            transport: `rest` or `grpc`.
            puid: `puid` of the reply or the request; the entry gets a new one if it is empty or too
                long.
            request: the request.
            response: the reply.
            verdict: the reason for a missing reply; None if there is a reply.

        Raises:
            NotWritten: the brokers refuse the entry, or don't answer in time.
        """
        own_id = uuid.uuid4().hex.encode("ascii")
        key = puid.encode("utf-8", "replace") if 0 < len(puid) <= LONGEST_PUID else own_id
        entry = Entry(
            own_id, key, transport.encode("ascii"), b"null", b"", request, response, verdict
        )
        now_ms = int(time.time() * 1000)
        now = rfc3339(now_ms)
        value = fitting(entry, self._author, now, lambda value: len(value) <= self._most)
        headers = headers_of(entry, common_headers(self._author, now))
        self._writer.write(entry.puid, value, headers, now_ms)

    def close(self) -> None:
        """Closes the producer, after a short wait for unacknowledged entries."""
        self._writer.close()
