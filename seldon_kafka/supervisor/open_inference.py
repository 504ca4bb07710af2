"""The paths of the Open Inference Protocol (`/v2/models/…/infer`), answered by Seldon's server.

Seldon's server supports only Seldon's own format. So this module converts requests and replies,
with the codecs that the workers use too.
https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
"""

from __future__ import annotations

import http.client
import json
import re
import threading
from typing import Any, NamedTuple, Optional, Tuple

import numpy as np

from seldon_kafka.codec import decode_json, v2
from seldon_kafka.codec.json_text import dump_json
from seldon_kafka.errors import Rejected
from seldon_kafka.messages import JsonObject, Payload, Prediction

_MODEL_PATH = re.compile(r"^/v2/models/([^/]+)(?:/versions/[^/]+)?(/ready|/infer)?$")
_ANSWER_WITHIN_S = 60.0
_DECODING = threading.Semaphore(2)
_OK, _BAD_REQUEST, _NOT_FOUND, _BAD_GATEWAY, _UNAVAILABLE = 200, 400, 404, 502, 503


class Served(NamedTuple):
    """The model behind the paths.

    Attributes:
        name: name of the model in the paths.
        port: port of Seldon's REST server on this machine; None if that server is off.
    """

    name: str
    port: Optional[int]


Answer = Tuple[int, JsonObject]


def answer_get(path: str, served: Served, ready: bool) -> Optional[Answer]:
    """Answers a request for health or metadata; returns None for a path of another protocol."""
    if path == "/v2":
        return _OK, {"name": "seldon_kafka.supervisor", "version": "1", "extensions": []}
    if path in ("/v2/health/live", "/v2/health/ready"):
        up = ready or path.endswith("live")
        return (_OK if up else _UNAVAILABLE), {path.rsplit("/", 1)[1]: up}
    match = _MODEL_PATH.match(path)
    if match is None or match[2] == "/infer":
        return None
    if match[1] != served.name:
        return _unknown(match[1], served)
    if match[2] == "/ready":
        return (_OK if ready else _UNAVAILABLE), {"name": served.name, "ready": ready}
    return _OK, {"name": served.name, "platform": "seldon", "inputs": [], "outputs": []}


def answer_post(path: str, body: bytes, served: Served) -> Optional[Answer]:
    """Answers an inference request; returns None for a path of another protocol."""
    match = _MODEL_PATH.match(path)
    if match is None or match[2] != "/infer":
        return None
    if match[1] != served.name:
        return _unknown(match[1], served)
    if served.port is None:
        return _UNAVAILABLE, {"error": "KAFKA_SELDON_SERVER is off"}
    try:
        # Decoding takes many times a request's size in memory, so at most two are decoded at once.
        with _DECODING:
            meta, request = _as_seldon_request(body)
    except Rejected as error:
        return _BAD_REQUEST, {"error": f"{error.reason}: {error.message}"}
    return _infer(meta, request, served)


def is_infer(path: str) -> bool:
    """Returns whether a path takes inference requests."""
    match = _MODEL_PATH.match(path)
    return match is not None and match[2] == "/infer"


def _as_seldon_request(body: bytes) -> Tuple[JsonObject, bytes]:
    """Returns a request's `meta`, and the request in Seldon's format.

    Raises:
        Rejected: the body is no request of this protocol.
    """
    payload, wire_format = decode_json(body)
    if wire_format is not v2.FORMAT:
        raise Rejected("no_payload", "inputs is missing")
    request = {"data": {"ndarray": payload.data.tolist()}, "meta": payload.meta}
    return payload.meta, dump_json(request)


def _unknown(name: str, served: Served) -> Answer:
    return _NOT_FOUND, {"error": f"there is no model {name!r}; this server has {served.name!r}"}


def _infer(meta: JsonObject, request: bytes, served: Served) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=_ANSWER_WITHIN_S)
    try:
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/predict", request, headers)
        answer = connection.getresponse()
        reply = json.loads(answer.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        return _BAD_GATEWAY, {"error": f"Seldon's server does not answer: {error}"}
    finally:
        connection.close()
    if answer.status != _OK:
        return answer.status, {"error": (reply.get("status") or {}).get("info", "")}
    payload = Payload("ndarray", None, (), meta, None)
    written = v2.encode(payload, _prediction(reply), str(meta.get("puid", "")))
    return _OK, {"model_name": served.name, **json.loads(written)}


def _prediction(reply: JsonObject) -> Prediction:
    """Returns the prediction in an answer of Seldon's server."""
    data = reply.get("data", {})
    rows: Any = data.get("ndarray")
    if rows is None and "tensor" in data:
        rows = np.reshape(data["tensor"]["values"], data["tensor"]["shape"])
    if rows is None:
        rows = next(
            (reply[kind] for kind in ("jsonData", "strData", "binData") if kind in reply), ""
        )
    tags = reply.get("meta", {}).get("tags", {})
    # Seldon's server does not name row tags. A tag with one entry for each row counts as a row tag.
    by_row = [name for name, tag in tags.items() if isinstance(tag, list) and len(tag) == len(rows)]
    return Prediction(rows, data.get("names", ()), tags, tuple(by_row), [])
