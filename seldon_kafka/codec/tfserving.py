"""The REST format of TensorFlow Serving: `{"instances": […]}` and `{"predictions": […]}`.

https://www.tensorflow.org/tfx/serving/api_rest#predict_api (row format)
"""

from __future__ import annotations

import base64

from seldon_kafka.codec.json_text import JSON_HEADERS, dump_json, list_of
from seldon_kafka.codec.seldon_json import decode_base64, values_of
from seldon_kafka.codec.wire_format import WireFormat
from seldon_kafka.errors import Rejected
from seldon_kafka.messages import Json, JsonObject, Payload, Prediction


def decode(document: JsonObject) -> Payload:
    """Decodes the instances as an array, or the bytes of one `{"b64": …}` instance.

    Raises:
        Rejected: the instances are neither a rectangular array nor one `{"b64": …}` instance.
    """
    instances = document["instances"]
    if isinstance(instances, list) and instances and isinstance(instances[0], dict):
        return Payload("binData", _bytes_of(instances), (), {}, document)
    return Payload("ndarray", list_of(instances, "instances"), (), {}, document)


def _bytes_of(instances: Json) -> bytes:
    if len(instances) != 1 or set(instances[0]) != {"b64"}:
        raise Rejected(
            "unsupported",
            'instances with named inputs are not supported, except for one {"b64": …}',
        )
    return decode_base64(instances[0]["b64"])


def encode(payload: Payload, prediction: Prediction, puid: str) -> bytes:
    """Encodes the reply without `puid`, tags and names, which this format does not have."""
    if prediction.raw:
        return dump_json(prediction.data)
    data = prediction.data
    if isinstance(data, bytes):
        # https://www.tensorflow.org/tfx/serving/api_rest#encoding_binary_values
        data = {"b64": base64.b64encode(data).decode("ascii")}
    return dump_json({"predictions": values_of(data)})


FORMAT = WireFormat("tfserving-json", decode, encode, JSON_HEADERS)
