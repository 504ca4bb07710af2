"""`seldon-kafka topics` on a real broker."""

from __future__ import annotations

import json
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from kafka.cluster.local import Cluster
from tests.support.commands import topics as main


@pytest.fixture
def topic(cluster: Cluster, name: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("KAFKA_BROKER", cluster.bootstrap)
    monkeypatch.setenv("KAFKA_INPUT_TOPIC", name)
    monkeypatch.setenv("KAFKA_OUTPUT_TOPIC", f"{name}-out")
    monkeypatch.setenv("KAFKA_FEEDBACK_TOPIC", f"{name}-feedback")
    monkeypatch.setenv("KAFKA_GROUP_ID", name)
    return name


def shown(capsys: pytest.CaptureFixture[str]) -> Any:
    capsys.readouterr()
    status = main(["show", "--json"])
    said = capsys.readouterr()
    assert status == 0, said.err
    return json.loads(said.out)


def test_create_creates_four_topics_and_reports_them(
    topic: str, cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["create"]) == 0
    assert capsys.readouterr().out.count(": created, 12 partitions, replication 1") == 4
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
    for kept in (f"{topic}.dead", f"{topic}-feedback"):
        asked = ConfigResource(ResourceType.TOPIC, kept)
        assert admin.describe_configs([asked])[asked].result()["retention.ms"].value == "-1"


def test_create_creates_the_topic_of_the_request_log_if_it_is_on(
    topic: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_LOG_REQUESTS", "on")
    monkeypatch.setenv("KAFKA_LOG_TOPIC", f"{topic}-log")
    assert main(["create", "--partitions", "2"]) == 0
    assert f"{topic}-log: created, 2 partitions" in capsys.readouterr().out
    assert [each["topic"] for each in shown(capsys)["topics"]][-1] == f"{topic}-log"


def test_create_leaves_existing_topics_as_they_are_and_names_the_differences(
    topic: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["create", "--partitions", "2"])
    capsys.readouterr()
    assert main(["create"]) == 0
    out = capsys.readouterr().out
    assert out.count("exists, unchanged") == 4
    assert out.count("has 2 partitions, wanted 12") == 4
    assert len(shown(capsys)["topics"][0]["partitions"]) == 2


def test_show_names_missing_topics_and_the_command_that_creates_them(
    topic: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show"]) == 1
    out = capsys.readouterr().out
    assert topic in out
    assert "seldon-kafka topics create" in " ".join(out.split())


def test_show_prints_offsets_and_the_lag_of_the_group(
    topic: str, cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["create", "--partitions", "1"])
    producer = Producer({"bootstrap.servers": cluster.bootstrap})
    for _ in range(10):
        producer.produce(topic, b"x")
    assert producer.flush(30) == 0
    assert shown(capsys)["lag"] is None
    consumer = Consumer(
        {
            "bootstrap.servers": cluster.bootstrap,
            "group.id": topic,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([topic])
    consumer.commit(message=consumer.consume(4, timeout=20)[3], asynchronous=False)
    consumer.close()
    report = shown(capsys)
    assert report["lag"] == 6
    (partition,) = report["topics"][0]["partitions"]
    assert (partition["first"], partition["end"], partition["committed"]) == (0, 10, 4)
    assert (partition["leader"], partition["in_sync"]) == (1, [1])
    assert main(["show"]) == 0
    assert f"lag of {topic}: 6" in " ".join(capsys.readouterr().out.split())


def test_add_partitions_adds_them_to_all_four_topics(
    topic: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["create", "--partitions", "2"])
    assert main(["add-partitions", "5"]) == 0
    assert [len(t["partitions"]) for t in shown(capsys)["topics"]] == [5, 5, 5, 5]
    assert main(["add-partitions", "4"]) == 1
    assert "cannot reduce their number" in capsys.readouterr().err


def test_the_error_for_brokers_that_do_not_answer_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KAFKA_BROKER", "127.0.0.1:1")
    monkeypatch.setattr("seldon_kafka.config.refusal._REQUEST_S", 1)
    assert main(["create"]) == 1
    error = capsys.readouterr().err
    assert "127.0.0.1:1 do not answer" in error
    assert "Traceback" not in error
