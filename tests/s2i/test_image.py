"""The image's own way to run: `.s2i/bin/run`, on this Python and on the image's 3.8."""

from __future__ import annotations

import io
import json
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from model.artefacts import FLOAT
from model.loader import FAST, load_classifier
from producer.bundled_samples import load_samples
from producer.formats import FORMATS, encode
from seldon_kafka.messages import Record, header
from tests.s2i.conftest import PYTHON38, NewReplica
from tests.support.endpoints import rows_of_json, rows_of_protobuf
from tests.support.patience import promised
from tests.support.stream import Stream, wait_until

IMAGES = load_samples().images[:10]
STOP_S = 5
TOLERANCE = 1e-5

NewStream = Callable[..., Stream]


def batches(name: str) -> list[NDArray[np.uint8]]:
    """The images as a format's messages hold them: one, and more where it can."""
    if not FORMATS[name].many:
        return [IMAGES[:1], IMAGES[1:2]]
    return [IMAGES[:1], IMAGES[1:4], IMAGES]


def values(name: str) -> list[bytes]:
    return [encode(FORMATS[name], images) for images in batches(name)]


def expected(name: str, python: str) -> list[NDArray[np.float32]]:
    """What the form that an interpreter serves says here and now, without any server between."""
    network = load_classifier(FAST / FLOAT if python == str(PYTHON38) else FAST)
    if name == "jpeg":  # its pixels are not quite those that went in
        seen = [np.asarray(Image.open(io.BytesIO(value)))[None] for value in values(name)]
        return [network.probabilities(images) for images in seen]
    return [network.probabilities(images) for images in batches(name)]


def rows(reply: Record) -> NDArray[Any]:
    assert reply.value is not None
    if header(reply.headers, "proto-name"):
        return rows_of_protobuf(reply.value)
    return rows_of_json(reply.value)


def assert_close(found: NDArray[Any], wanted: NDArray[Any]) -> None:
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() < TOLERANCE


def test_the_same_probabilities_come_over_rest_grpc_and_kafka_in_every_format(
    new_stream: NewStream, new_replica: NewReplica, python: str
) -> None:
    stream = new_stream(partitions=3)
    replica = new_replica(python, **stream.environ, KAFKA_WORKERS="2")
    for name, wire_format in FORMATS.items():
        stream.send(values(name), headers=[*wire_format.headers(), ("format", name.encode())])
    replies = stream.replies(sum(len(values(name)) for name in FORMATS))
    for reply in replies:
        name = (header(reply.headers, "format") or b"").decode()
        assert_close(
            rows(reply), expected(name, python)[int(header(reply.headers, "seq") or b"-1")]
        )
    assert len(replies) == sum(len(values(name)) for name in FORMATS)

    for name, wire_format in FORMATS.items():
        if wire_format.is_text:
            for value, wanted in zip(values(name), expected(name, python), strict=True):
                assert_close(replica.over_rest(value), wanted)
    for value, wanted in zip(values("protobuf"), expected("protobuf", python), strict=True):
        assert_close(replica.over_grpc(value), wanted)


def test_sigterm_to_the_first_process_ends_everything_in_good_order(
    new_stream: NewStream, new_replica: NewReplica, python: str
) -> None:
    stream = new_stream(partitions=3)
    replica = new_replica(python, **stream.environ, KAFKA_WORKERS="2")
    stream.send(values("ndarray") * 20, headers=FORMATS["ndarray"].headers())
    stream.replies(60)
    assert len(replica.left_behind()) > 5
    assert replica.terminate() < promised(STOP_S)
    assert replica.process.returncode == 0
    assert replica.left_behind() == []
    assert "Traceback" not in replica.log
    assert stream.lag() == 0


def test_without_a_broker_it_serves_rest_and_grpc_only(
    new_replica: NewReplica, python: str
) -> None:
    replica = new_replica(python)
    (value, *_), (wanted, *_) = values("ndarray"), expected("ndarray", python)
    assert_close(replica.over_rest(value), wanted)
    assert "seldon_kafka.worker" not in replica.log
    assert replica.terminate() < promised(STOP_S)
    assert replica.process.returncode == 0
    assert replica.left_behind() == []
    assert "Traceback" not in replica.log


@pytest.mark.parametrize("python", ["this Python"], indirect=True)
def test_a_request_in_hand_at_sigterm_is_answered(
    new_replica: NewReplica, python: str, tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    replica = new_replica(python, MODEL_NAME="tests.s2i.slow.Slow", SLOW_BEGUN=str(begun))
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(replica.over_rest, json.dumps({"data": {"ndarray": [[1]]}}).encode())
        wait_until(begun.exists, 20, "the request is in hand")
        assert replica.terminate() < promised(STOP_S)
        assert asked.result() == [[1]]
    assert replica.process.returncode == 0
    assert replica.left_behind() == []


@pytest.mark.parametrize("python", ["this Python"], indirect=True)
def test_an_idle_connection_holds_up_neither_others_nor_the_end(
    new_replica: NewReplica, python: str
) -> None:
    replica = new_replica(python)
    with socket.create_connection(("127.0.0.1", replica.rest)):
        time.sleep(2)  # so that it is asked again whether it answers
        assert replica.is_ready()
        (value, *_), (wanted, *_) = values("ndarray"), expected("ndarray", python)
        assert_close(replica.over_rest(value), wanted)
        assert replica.terminate() < promised(STOP_S)
    assert replica.process.returncode == 0
    assert replica.left_behind() == []
