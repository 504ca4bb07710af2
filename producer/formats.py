"""Encodes images as messages, in every wire format that the runtime reads."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import orjson
from numpy.typing import NDArray
from PIL import Image

Images = NDArray[np.uint8]
"""uint8 (n, 28, 28), 0 is background and 255 full ink."""

JSON = "application/json"
_PROTO_NAME = "seldon.protos.SeldonMessage"


class FormatError(ValueError):
    """A format or an option cannot be used for these messages; the message says why."""


@dataclass(frozen=True)
class WireFormat:
    """A wire format of images.

    Attributes:
        name: name on the command line.
        content_type: value of the header `content-type`.
        encode: encodes images as the value of a message.
        proto_name: name of the protobuf message; None if the value is no protobuf.
        many: whether a message can have several images.
    """

    name: str
    content_type: str
    encode: Callable[[Images], bytes]
    proto_name: str | None = None
    many: bool = True

    @property
    def is_text(self) -> bool:
        """Whether a message is a line of text, which console tools can send."""
        return self.content_type == JSON

    def headers(self, truth: str | None = None) -> list[tuple[str, bytes]]:
        """Returns the headers of a message.

        Args:
            truth: the true labels of the message's images, separated by spaces; None if unknown.
        """
        headers = [("content-type", self.content_type.encode())]
        if self.proto_name is not None:
            headers.append(("proto-name", self.proto_name.encode()))
        if truth is not None:
            headers.append(("truth", truth.encode()))
        return headers


def encode(wire_format: WireFormat, images: Images) -> bytes:
    """Encodes images as the value of a message.

    Args:
        wire_format: one of `FORMATS`.
        images: uint8 (n, 28, 28).

    Raises:
        FormatError: the number of images is not 1, and the format holds exactly one image.
    """
    if len(images) != 1 and not wire_format.many:
        raise FormatError(
            f"a message of format {wire_format.name} holds one image; "
            "raw, bindata, protobuf and the other JSON formats hold many"
        )
    return wire_format.encode(images)


def _json(document: object) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)


def _ndarray(images: Images) -> bytes:
    return _json({"data": {"ndarray": np.ascontiguousarray(images)}})


def _tensor(images: Images) -> bytes:
    rows = images.reshape(len(images), -1)
    return _json({"data": {"tensor": {"shape": list(rows.shape), "values": rows.ravel()}}})


def _bindata(images: Images) -> bytes:
    # A picture file has one image; several images are sent as raw bytes.
    content = _png(images) if len(images) == 1 else images.tobytes()
    return _json({"binData": base64.b64encode(content).decode("ascii")})


def _v2(images: Images) -> bytes:
    tensor = {
        "name": "x",
        "shape": list(images.shape),
        "datatype": "UINT8",
        "data": images.ravel(),
    }
    return _json({"inputs": [tensor]})


def _tfserving(images: Images) -> bytes:
    return _json({"instances": np.ascontiguousarray(images)})


def _protobuf(images: Images) -> bytes:
    # The import is here because it takes as long as all other imports together, and only this
    # format needs it.
    from seldon_core.proto import prediction_pb2

    message = prediction_pb2.SeldonMessage()
    message.data.tensor.shape.extend((len(images), images[0].size))
    message.data.tensor.values.extend(images.ravel().tolist())
    value: bytes = message.SerializeToString()
    return value


def _png(images: Images) -> bytes:
    return _picture(images[0], "PNG")


def _jpeg(images: Images) -> bytes:
    return _picture(images[0], "JPEG", quality=95)


def _picture(image: NDArray[np.uint8], kind: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind, **options)
    return buffer.getvalue()


def _raw(images: Images) -> bytes:
    return images.tobytes()


FORMATS: dict[str, WireFormat] = {
    each.name: each
    for each in (
        WireFormat("ndarray", JSON, _ndarray),
        WireFormat("tensor", JSON, _tensor),
        WireFormat("bindata", JSON, _bindata),
        WireFormat("v2", JSON, _v2),
        WireFormat("tfserving", JSON, _tfserving),
        WireFormat("protobuf", "application/x-protobuf", _protobuf, proto_name=_PROTO_NAME),
        WireFormat("png", "image/png", _png, many=False),
        WireFormat("jpeg", "image/jpeg", _jpeg, many=False),
        WireFormat("raw", "application/octet-stream", _raw),
    )
}
