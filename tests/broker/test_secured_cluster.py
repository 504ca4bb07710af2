"""A cluster that authenticates its clients: every part of the system works with it."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kafka.cluster.address import running_nodes
from kafka.cluster.local import Cluster
from tests.broker.conftest import SASL_SSL, SSL
from tests.support.patience import patient
from tests.support.stream import ROOT, Stream, assert_once_and_in_order, numbers, wait_until

NewStream = Callable[[Cluster], Stream]


def ran(
    stream: Stream, *command: str, given: str = "", **environ: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env={**stream.whole_environ, **environ},
        input=given,
        capture_output=True,
        text=True,
        check=False,
    )


def cluster_ran(folder: Path, *arguments: str, given: str = "") -> str:
    environ = {key: value for key, value in os.environ.items() if key != "KAFKA_BROKER"}
    done = subprocess.run(
        [sys.executable, "-m", "kafka.cluster", "--folder", str(folder), *arguments],
        cwd=ROOT,
        env=environ,
        input=given,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def open_files_with(secret: str, folder: Path) -> list[Path]:
    """Returns files with the secret that others than their owner can read."""
    return [
        path
        for path in folder.rglob("*")
        if path.is_file() and path.stat().st_mode & 0o077 and secret.encode() in path.read_bytes()
    ]


@SASL_SSL
def test_messages_are_answered_over_tls_with_a_password(
    sasl_ssl: Cluster, new_stream_on: NewStream
) -> None:
    stream = new_stream_on(sasl_ssl)
    assert stream.settings.security_protocol == "sasl_ssl"
    made = ran(stream, "seldon_kafka", "topics", "create", "--partitions", "3")
    assert made.stdout.count("exists, unchanged") == 4, made.stderr
    stream.send([*numbers(300), b"no JSON"])
    worker = stream.worker("Double")
    assert_once_and_in_order(stream.replies(300), 300)
    assert [letter.reason for letter in stream.letters(1)] == ["not_json"]
    wait_until(lambda: stream.lag() == 0, 15, "everything is committed")
    worker.terminate()
    assert worker.wait(patient(10)) == 0
    password = stream.environ["KAFKA_SASL_PASSWORD"]
    assert password not in stream.log()
    assert open_files_with(password, sasl_ssl.folder) == []
    for pid in running_nodes(sasl_ssl.folder).values():
        assert password.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()


@SASL_SSL
def test_producer_and_consumer_work_with_the_variables_of_environment(
    sasl_ssl: Cluster, new_stream_on: NewStream
) -> None:
    stream = new_stream_on(sasl_ssl)
    printed = cluster_ran(sasl_ssl.folder, "environment").splitlines()
    said = dict(shlex.split(line.removeprefix("export "))[0].split("=", 1) for line in printed)
    assert said == sasl_ssl.client_environment()
    stream.start("seldon_kafka", "worker", "wrapper.KmnistClassifier")
    sent = ran(stream, "producer", "--samples", "--count", "20")
    assert sent.returncode == 0, sent.stderr
    read = ran(stream, "consumer", "--from-beginning", "--count", "20", "--timeout", "30", "--json")
    assert read.returncode == 0, read.stderr
    assert len([json.loads(line) for line in read.stdout.splitlines()]) == 20


@SASL_SSL
def test_kafkas_console_tools_get_the_credentials_of_the_cluster(
    sasl_ssl: Cluster, new_stream_on: NewStream
) -> None:
    topic = new_stream_on(sasl_ssl).settings.input_topic
    lines = "か\nna\n"
    cluster_ran(sasl_ssl.folder, "console-producer", "--topic", topic, given=lines)
    got = cluster_ran(
        sasl_ssl.folder,
        *("console-consumer", "--topic", topic, "--from-beginning", "--max-messages", "2"),
        # The caller may set this property; the others are still filled in.
        *("--bootstrap-server", sasl_ssl.bootstrap),
    )
    assert sorted(got.split()) == sorted(lines.split())


@pytest.mark.full
@SASL_SSL
def test_an_added_broker_and_the_others_trust_each_other(
    sasl_ssl: Cluster, new_stream_on: NewStream
) -> None:
    stream = new_stream_on(sasl_ssl)
    stream.send(numbers(30))
    stream.worker("Double")
    stream.replies(30)
    added = sasl_ssl.add()
    placed = stream.admin().list_topics(timeout=10).topics[stream.settings.input_topic].partitions
    assert all(sorted(each.isrs) == [1, added.id] for each in placed.values())
    assert added.id in {each.leader for each in placed.values()}
    stream.send(numbers(30))
    assert_once_and_in_order(stream.replies(60), 60)


@SSL
def test_messages_are_answered_only_for_clients_with_a_certificate(
    ssl: Cluster, new_stream_on: NewStream
) -> None:
    stream = new_stream_on(ssl)
    assert stream.settings.ssl_client_key_file
    stream.send(numbers(60))
    stream.worker("Double", "known")
    assert_once_and_in_order(stream.replies(60), 60)
    stream.worker("Double", "stranger", KAFKA_SSL_CLIENT_CERT_FILE="", KAFKA_SSL_CLIENT_KEY_FILE="")
    wait_until(lambda: "KAFKA_SSL_" in stream.log(), 30, "the stranger says why it waits")
    assert "Traceback" not in stream.log()
    shown = cluster_ran(ssl.folder, "status")
    assert "clients use ssl" in shown
