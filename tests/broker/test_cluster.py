"""The local cluster with real brokers: starts, failures, growth and end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from kafka.cluster.address import running_bootstrap, running_nodes
from kafka.cluster.local import Cluster
from kafka.cluster.process import alive, await_true
from kafka.cluster.state import ClusterError
from tests.support.patience import patient, promised

ROOT = Path(__file__).resolve().parents[2]


def command(folder: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "kafka.cluster", "--folder", str(folder), *arguments]


def started(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command(folder, *arguments),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def run(folder: Path, *arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        command(folder, *arguments), cwd=ROOT, input=given, capture_output=True, check=False
    )


def write(bootstrap: str, topic: str, *values: bytes) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all"})
    for value in values:
        producer.produce(topic, value)
    assert producer.flush(30) == 0


def read(bootstrap: str, topic: str, count: int) -> list[bytes]:
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "t", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([topic])
    try:
        return [m.value() or b"" for m in consumer.consume(count, timeout=30)]
    finally:
        consumer.close()


def make(bootstrap: str, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(topic, num_partitions=6, replication_factor=1)])[topic].result()


def test_a_second_start_uses_the_running_cluster(cluster: Cluster) -> None:
    before = running_nodes(cluster.folder)
    done = run(cluster.folder, "up")
    assert done.returncode == 0, done.stderr
    assert running_nodes(cluster.folder) == before
    assert running_bootstrap(cluster.folder) == cluster.bootstrap


def test_a_cluster_of_one_broker_reports_that_it_does_not_tolerate_its_failure(
    cluster: Cluster,
) -> None:
    shown = run(cluster.folder, "status").stdout.decode()
    assert "does not tolerate" in shown
    assert cluster.bootstrap in shown


def test_a_misspelt_topic_is_not_created_by_accident(cluster: Cluster, name: str) -> None:
    consumer = Consumer(
        {
            "bootstrap.servers": cluster.bootstrap,
            "group.id": name,
            "allow.auto.create.topics": True,
        }
    )
    consumer.subscribe([name])
    consumer.poll(2)
    consumer.close()
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
    assert name not in admin.list_topics(timeout=10).topics


def test_messages_of_eight_mebibytes_and_their_dead_letter_headers_fit(
    cluster: Cluster, new_topic: Callable[..., str]
) -> None:
    topic = new_topic(max_message_bytes=str(9 * 2**20))
    producer = Producer({"bootstrap.servers": cluster.bootstrap, "message.max.bytes": 10 * 2**20})
    failures = []
    producer.produce(
        topic,
        bytes(8 * 2**20),
        headers=[("why", b"x" * 2**16)],
        on_delivery=lambda error, _: failures.append(error),
    )
    assert producer.flush(30) == 0
    assert failures == [None]


@pytest.mark.full
def test_kafkas_console_tools_pass_lines_through(
    cluster: Cluster, new_topic: Callable[..., str]
) -> None:
    topic = new_topic()
    lines = "か\nna\n".encode()
    sent = run(cluster.folder, "console-producer", "--topic", topic, given=lines)
    assert sent.returncode == 0, sent.stderr
    got = run(
        cluster.folder,
        *("console-consumer", "--topic", topic, "--from-beginning"),
        *("--max-messages", "2"),
    )
    assert got.returncode == 0, got.stderr
    assert got.stdout == lines


def test_two_simultaneous_starts_create_one_cluster_that_outlives_both(
    cluster_folder: Path,
) -> None:
    try:
        starts = [started(cluster_folder, "up") for _ in range(2)]
        for start in starts:
            out, _ = start.communicate()
            assert start.returncode == 0, out.decode()
        assert list(running_nodes(cluster_folder)) == [1]
    finally:
        stopped = Cluster(cluster_folder).down(delete=True)
    assert stopped == [1]
    assert running_nodes(cluster_folder) == {}


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.full)]
)
def test_an_interrupted_start_leaves_nothing_behind(cluster_folder: Path, number: int) -> None:
    start = started(cluster_folder, "up")
    assert await_true(lambda: bool(running_nodes(cluster_folder)), patient(30))
    start.send_signal(number)
    out, _ = start.communicate()
    assert start.returncode == 130, out.decode()
    assert b"Traceback" not in out
    assert running_nodes(cluster_folder) == {}


def test_the_next_start_completes_one_that_was_killed(cluster_folder: Path) -> None:
    start = started(cluster_folder, "up")
    assert await_true(lambda: (cluster_folder / "cluster.json").exists(), patient(30))
    start.kill()  # while a node is formatted or starts
    start.communicate()
    with Cluster.start(cluster_folder) as mended:
        make(mended.bootstrap, "t")
        write(mended.bootstrap, "t", b"a")


def test_the_error_for_a_port_in_use_is_one_line(cluster: Cluster, cluster_folder: Path) -> None:
    taken = cluster.bootstrap.rpartition(":")[2]
    done = run(cluster_folder, "up", "--port", taken)
    assert done.returncode == 1
    error = done.stderr.decode()
    assert f"port {taken}" in error
    assert "Traceback" not in error
    # The next attempt may choose other ports.
    with Cluster.start(cluster_folder) as other:
        assert not other.bootstrap.endswith(taken)


def test_a_broker_that_cannot_start_shows_the_end_of_its_log(cluster_folder: Path) -> None:
    with Cluster.start(cluster_folder) as cluster:
        cluster.down()
        meta = cluster_folder / "node-1" / "data" / "meta.properties"
        text = meta.read_text().replace("node.id=1", "node.id=7")
        meta.write_text(text)
        with pytest.raises(ClusterError, match=r"(?s)node 1 ended while starting.*node"):
            Cluster.start(cluster_folder)
        assert running_nodes(cluster_folder) == {}


@pytest.mark.full
def test_records_survive_a_power_failure(cluster_folder: Path) -> None:
    with Cluster.start(cluster_folder) as cluster:
        make(cluster.bootstrap, "t")
        write(cluster.bootstrap, "t", b"a", b"b", b"c")
        cluster.kill(1)
        assert running_bootstrap(cluster_folder) is None
        Cluster.start(cluster_folder)
        assert sorted(read(cluster.bootstrap, "t", 3)) == [b"a", b"b", b"c"]


def test_a_leased_cluster_ends_with_its_user_even_if_that_is_killed(cluster_folder: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from kafka.cluster.lease import leased\n"
        "with leased(Path(sys.argv[1])): print('up', flush=True); time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(cluster_folder)], cwd=ROOT, stdout=subprocess.PIPE
    ) as user:
        assert user.stdout is not None
        assert user.stdout.readline() == b"up\n"
        (pid,) = running_nodes(cluster_folder).values()
        os.kill(user.pid, signal.SIGKILL)
    assert await_true(lambda: not alive(pid), patient(20))


@pytest.mark.full
@pytest.mark.timeout(240)
def test_growing_to_three_brokers_survives_the_death_of_the_first(cluster_folder: Path) -> None:
    with Cluster.start(cluster_folder) as cluster:
        make(cluster.bootstrap, "t")
        write(cluster.bootstrap, "t", *[b"%d" % n for n in range(100)])
        assert cluster.status().weaknesses
        Cluster.start(cluster_folder, brokers=3)
        assert cluster.status().weaknesses == ()
        cluster.kill(1)  # the first broker, which led the quorum and all partitions
        began = time.monotonic()
        write(cluster.bootstrap, "t", b"while 1 was dead")
        assert time.monotonic() - began < promised(15)
        assert cluster.status().weaknesses
        cluster.restart(1)
        assert await_true(lambda: cluster.status().weaknesses == (), patient(60))
        assert len(read(cluster.bootstrap, "t", 101)) == 101
        assert cluster.add().id == 4
        admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
        partitions = admin.list_topics(timeout=10).topics["t"].partitions.values()
        assert any(4 in p.replicas for p in partitions)
        assert all(len(p.isrs) == 3 for p in partitions)
