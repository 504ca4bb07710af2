"""With three brokers any one may die: coordinators and leaders move without losses."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from kafka.cluster.local import Cluster
from seldon_kafka.config.settings import load_settings
from seldon_kafka.topics.manage import await_usable
from tests.support.stream import Stream, assert_once_and_in_order, numbers, wait_until

PARTITIONS = 4


@pytest.fixture
def three(cluster_folder: Path) -> Iterator[Cluster]:
    with Cluster.start(cluster_folder, brokers=3) as cluster:
        yield cluster


@pytest.mark.full
@pytest.mark.timeout(300)
@pytest.mark.xdist_group("three brokers")
def test_moving_coordinators_and_leaders_lose_and_double_no_message(
    three: Cluster, tmp_path: Path
) -> None:
    environ = {
        "KAFKA_BROKER": three.bootstrap,
        "KAFKA_STATE_DIR": str(tmp_path / "state"),
        "KAFKA_HTTP_PORT": "0",
    }
    settings = load_settings(environ)
    admin = AdminClient({"bootstrap.servers": three.bootstrap, "log_level": 2})
    names = [settings.input_topic, settings.output_topic, settings.dead_letter_topic]
    # The tests' messages have old timestamps, and retention would delete them.
    config = {"retention.ms": "-1", "min.insync.replicas": "2"}
    made = admin.create_topics([NewTopic(name, PARTITIONS, 3, config=config) for name in names])
    for future in made.values():
        future.result()
    await_usable(admin, names)
    folder = tmp_path / "logs"
    folder.mkdir()
    stream = Stream(environ, folder, PARTITIONS)
    enough = threading.Event()
    batches = itertools.count(1)
    sent = 0

    def feed() -> None:
        nonlocal sent
        while not enough.wait(0.05):
            stream.send(numbers(20, first=1000 * next(batches)))
            sent += 20

    feeder = threading.Thread(target=feed)
    try:
        stream.worker("Double", "a")
        stream.worker("Double", "b")
        wait_until(lambda: len(stream.readers()) == 2, 40, "both workers read")
        feeder.start()
        for node in (1, 2, 3):
            before = sent
            wait_until(lambda least=before: sent > least + 200, 60, "load flows")  # type: ignore[misc]
            three.kill(node)
            before = sent
            wait_until(lambda least=before: sent > least + 200, 60, "load flows on")  # type: ignore[misc]
            three.restart(node)
        enough.set()
        feeder.join()
        assert_once_and_in_order(stream.replies(sent, within_s=90), sent)
        wait_until(lambda: stream.lag() == 0, 30, "everything is committed")
    finally:
        enough.set()
        stream.stop()
