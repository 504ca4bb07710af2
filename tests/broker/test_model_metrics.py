"""What the model's classes count in workers, on the supervisor's port."""

from __future__ import annotations

import json
from collections.abc import Callable

from prometheus_client.parser import text_string_to_metric_families

from producer.bundled_samples import load_samples
from tests.broker.stream import Stream, wait_until
from tests.broker.test_supervisor import free_port, get


def test_the_images_of_all_workers_are_counted_by_label(
    new_stream: Callable[..., Stream],
) -> None:
    stream = new_stream()
    port = free_port()
    stream.start(
        "kafka.supervisor",
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
        text = get(port, "/metrics")[1]
        samples = [each for found in text_string_to_metric_families(text) for each in found.samples]
        return {
            each.labels["label"]: each.value
            for each in samples
            if each.name == "model_images_total"
        }

    wait_until(lambda: sum(counted().values()) >= len(images), 40, "all images are counted")
    # Of a bundled font each character is there as often.
    assert min(counted().values()) > 0
