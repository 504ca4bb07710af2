"""Code that the peers share: settings, decoders of messages, and replies.

Peers import this module as `bench_common`, from a folder that also has the package `model`.
"""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import orjson
from numpy.typing import NDArray
from PIL import Image

from model.labels import HIRAGANA, ROMAJI
from model.loader import SIDE, load_classifier

Pixels = NDArray[np.uint8]
BATCH = 256
"""Maximum number of messages in a peer's batch."""

WITHIN_S = 0.005
"""Maximum time in seconds that a peer waits for more messages of a batch."""


@dataclass(frozen=True)
class Settings:
    """The settings of a peer.

    Attributes:
        broker: host and port of the broker.
        source: name of the topic of images.
        replies: name of the topic of replies.
        group: name of the consumer group.
        format_name: wire format of the messages, one of `DECODERS`.
        state: path of the folder for the peer's state.
    """

    broker: str
    source: str
    replies: str
    group: str
    format_name: str
    state: str


def read_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Reads the settings from the environment."""
    return Settings(
        environ["BENCH_BROKER"],
        environ["BENCH_INPUT_TOPIC"],
        environ["BENCH_OUTPUT_TOPIC"],
        environ["BENCH_GROUP"],
        environ["BENCH_FORMAT"],
        environ.get("BENCH_STATE", "."),
    )


def report_ready() -> None:
    """Tells the benchmark that the peer is about to take messages."""
    print("ready", flush=True)


def _ndarray(value: bytes) -> Pixels:
    return np.array(orjson.loads(value)["data"]["ndarray"][0], dtype=np.uint8)


def _tensor(value: bytes) -> Pixels:
    values = orjson.loads(value)["data"]["tensor"]["values"]
    return np.array(values, dtype=np.uint8).reshape(SIDE, SIDE)


def _bindata(value: bytes) -> Pixels:
    return _raw(base64.b64decode(orjson.loads(value)["binData"]))


def _png(value: bytes) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(value)).convert("L"))


def _raw(value: bytes) -> Pixels:
    return np.frombuffer(value, dtype=np.uint8).reshape(SIDE, SIDE)


DECODERS: dict[str, Callable[[bytes], Pixels]] = {
    "ndarray": _ndarray,
    "tensor": _tensor,
    "bindata": _bindata,
    "png": _png,
    "raw": _raw,
}


class Answerer:
    """Turns the values of messages into the values of replies, with the model.

    Args:
        format_name: format of the messages, one of `DECODERS`.
    """

    def __init__(self, format_name: str) -> None:
        self._decode = DECODERS[format_name]
        self._classifier = load_classifier()

    def __call__(self, values: Sequence[bytes]) -> list[bytes]:
        """Answers one or more messages with one image each."""
        images = np.stack([self._decode(value) for value in values])
        return [_reply(row) for row in self._classifier.probabilities(images)]


def _reply(probabilities: NDArray[np.float32]) -> bytes:
    label = int(probabilities.argmax())
    confidence = round(float(probabilities[label]), 6)
    return orjson.dumps(
        {
            "data": {"names": ROMAJI, "ndarray": [probabilities]},
            "meta": {"tags": {"label": [HIRAGANA[label]], "confidence": [confidence]}},
        },
        option=orjson.OPT_SERIALIZE_NUMPY,
    )
