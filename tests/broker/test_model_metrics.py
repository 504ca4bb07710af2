"""Metrics of the user models in the workers, on the supervisor's port."""

from __future__ import annotations

import json
from collections.abc import Callable

from producer.bundled_samples import load_samples
from tests.broker.test_supervisor import measured
from tests.support.ports import free_port
from tests.support.stream import Stream, wait_until


def test_the_images_of_all_workers_are_counted_by_label(
    new_stream: Callable[..., Stream],
) -> None:
    stream = new_stream()
    port = free_port()
    stream.start(
        "seldon_kafka",
        "serve",
        "wrapper.KmnistClassifier",
        **{
            "KAFKA_WORKER_ID": "replica",
            "KAFKA_WORKERS": "2",
            "KAFKA_HTTP_PORT": str(port),
            "KAFKA_SELDON_SERVER": "off",
        },
    )
    images = load_samples().images
    stream.send([json.dumps({"data": {"ndarray": [each.tolist()]}}).encode() for each in images])

    def counted() -> dict[str, float]:
        found = measured(port, "model_images_total")
        return {each.labels["label"]: each.value for each in found}

    wait_until(lambda: sum(counted().values()) >= len(images), 40, "all images are counted")
    # Each character appears equally often in a bundled font.
    assert min(counted().values()) > 0


def test_the_lag_is_measured_and_goes_to_zero(new_stream: Callable[..., Stream]) -> None:
    stream = new_stream(partitions=3)
    port = free_port()
    # Even on a fast machine two workers take seconds, and they measure the lag after every ten.
    stream.send([b'{"data":{"ndarray":[[1,2]]}}'] * 300)
    stream.start(
        "seldon_kafka",
        "serve",
        "tests.support.classes.Slow",
        **{
            "SLOW_S": "0.03",
            "KAFKA_COMMIT_MESSAGES": "10",
            "KAFKA_WORKER_ID": "replica",
            "KAFKA_WORKERS": "2",
            "KAFKA_HTTP_PORT": str(port),
            "KAFKA_SELDON_SERVER": "off",
            "KAFKA_BATCHING": "off",
        },
    )

    def lag() -> float | None:
        found = measured(port, "kafka_worker_lag_messages")
        return sum(each.value for each in found) if found else None

    wait_until(lambda: (lag() or 0) > 100, 40, "messages wait")
    # During a rebalance no worker owns the partitions, so the lag is 0 for a moment.
    wait_until(lambda: stream.lag() == 0, 60, "all are answered")
    wait_until(lambda: lag() == 0, 5, "no transaction marker counts")
