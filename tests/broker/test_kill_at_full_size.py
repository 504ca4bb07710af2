"""The README's promise at full size: 20,000 official test images and three kills."""

from __future__ import annotations

import json
import os
from collections.abc import Callable

import numpy as np
import pytest

from model.dataset import load_split
from seldon_kafka.messages import header
from tests.support.stream import Stream, assert_once_and_in_order, wait_until

NewStream = Callable[..., Stream]
TWICE = 2


@pytest.mark.full
@pytest.mark.skipif("KMNIST_DATA" not in os.environ, reason="KMNIST_DATA is not set")
@pytest.mark.timeout(300)
def test_20_000_test_images_are_answered_once_in_order_despite_three_kills_of_a_worker(
    new_stream: NewStream,
) -> None:
    stream = new_stream(partitions=12)
    split = load_split("test")
    values = [
        json.dumps({"data": {"ndarray": [image.tolist()]}}).encode() for image in split.images
    ] * TWICE
    command = ("seldon_kafka", "worker", "wrapper.KmnistClassifier")
    stream.start(*command, KAFKA_WORKER_ID="steady")
    victim = stream.start(*command, KAFKA_WORKER_ID="victim")
    wait_until(lambda: len(stream.readers()) == 2, 40, "both workers read")
    stream.send(values)
    for part in (3, 2, 1):
        left = part * len(values) // 4
        wait_until(lambda most=left: stream.lag() < most, 60, "some are answered")  # type: ignore[misc]
        victim.kill()
        victim.wait()
        victim = stream.start(*command, KAFKA_WORKER_ID="victim")
    replies = stream.replies(len(values), within_s=120)
    assert_once_and_in_order(replies, len(values))
    assert stream.letters(0) == []
    right = 0
    for reply in replies:
        place = int(header(reply.headers, "seq") or b"-1") % len(split.labels)
        (row,) = json.loads(reply.value or b"")["data"]["ndarray"]
        right += int(np.argmax(row)) == split.labels[place]
    assert right / len(replies) > 0.965
