"""The container's first process: it starts, watches, reports on and drains workers."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from seldon_kafka.topics.manage import await_usable
from tests.support.patience import patient, promised
from tests.support.ports import free_port
from tests.support.stream import Stream, assert_once_and_in_order, numbers, source, wait_until

NewStream = Callable[..., Stream]


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=patient(5)) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


def measured(port: int, name: str) -> list[Sample]:
    """Returns the samples of a metric; none without an answer."""
    families = text_string_to_metric_families(get(port, "/metrics")[1])
    return [each for family in families for each in family.samples if each.name == name]


def infer(port: int, model: str, rows: list[list[Any]]) -> tuple[int, Any]:
    """Calls the Open Inference path."""
    shape = [len(rows), len(rows[0])]
    tensor = {"name": "x", "shape": shape, "datatype": "INT64", "data": rows}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v2/models/{model}/infer",
        data=json.dumps({"inputs": [tensor]}).encode(),
    )
    try:
        with urllib.request.urlopen(request, timeout=patient(10)) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


class Replica:
    """A supervisor with its ports."""

    def __init__(self, stream: Stream, class_name: str, *options: str, **environ: str) -> None:
        self.port = free_port()
        self.http_port = free_port()
        self.process: subprocess.Popen[bytes] = stream.start(
            "seldon_kafka",
            "serve",
            f"tests.support.classes.{class_name}",
            *options,
            **{
                "KAFKA_WORKER_ID": "replica",
                "KAFKA_HTTP_PORT": str(self.port),
                "KAFKA_SELDON_SERVER": "off",
                "PREDICTIVE_UNIT_HTTP_SERVICE_PORT": str(self.http_port),
                "PREDICTIVE_UNIT_GRPC_SERVICE_PORT": str(free_port()),
                "PREDICTIVE_UNIT_METRICS_SERVICE_PORT": str(free_port()),
                **environ,
            },
        )

    def ready(self, within_s: float = 40) -> None:
        wait_until(lambda: get(self.port, "/ready")[0] == 200, within_s, "the replica is ready")

    def halted(self) -> bool:
        status, why = get(self.port, "/ready")
        return status == 503 and "consumption stopped" in why and "a bad deployment" in why

    def status(self) -> Any:
        return json.loads(get(self.port, "/status")[1])


@pytest.fixture
def stream(new_stream: NewStream) -> Stream:
    return new_stream()


def test_everything_is_served_watched_and_drained(stream: Stream) -> None:
    replica = Replica(stream, "Double", KAFKA_SELDON_SERVER="on", KAFKA_WORKERS="2")
    replica.ready()
    assert get(replica.port, "/live") == (200, "live\n")
    request = urllib.request.Request(
        f"http://127.0.0.1:{replica.http_port}/predict",
        data=b'{"data":{"ndarray":[[1,2]]}}',
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=patient(10)) as answer:
        assert json.load(answer)["data"]["ndarray"] == [[2, 4]]
    status, answer = infer(replica.port, "tests.support.classes.Double", [[1, 2], [3, 4]])
    assert status == 200
    assert answer["outputs"][0]["shape"] == [2, 2]
    assert answer["outputs"][0]["data"] == [2, 4, 6, 8]
    assert infer(replica.port, "another", [[1, 2]])[0] == 404
    assert infer(replica.port, "tests.support.classes.Double", [[1, "x"]])[0] == 400
    stream.send([*numbers(50), b"nonsense"])
    assert_once_and_in_order(stream.replies(50), 50)
    metrics = wait_until(
        lambda: get(replica.port, "/metrics")[1] if "not_json" in get(replica.port, "/metrics")[1]
        else None,
        10, "the dead letter is counted",
    )  # fmt: skip
    answered = [
        float(line.rsplit(" ", 1)[1])
        for line in metrics.splitlines()
        if line.startswith("kafka_worker_replies_total{")
    ]
    assert sum(answered) == 50
    assert 'worker="replica.' in metrics
    family = psutil.Process(replica.process.pid).children(recursive=True)
    assert len(family) >= 4
    replica.process.send_signal(signal.SIGTERM)
    assert replica.process.wait(promised(5)) == 0
    assert psutil.wait_procs(family, timeout=promised(2))[1] == []


def test_a_storm_of_sigterm_until_the_very_end_ends_in_status_0(stream: Stream) -> None:
    replica = Replica(stream, "Double")
    replica.ready()
    give_up_at = time.monotonic() + patient(30)
    while replica.process.poll() is None and time.monotonic() < give_up_at:
        replica.process.send_signal(signal.SIGTERM)
    assert replica.process.wait(1) == 0


def test_a_worker_that_dies_is_started_again_at_once(stream: Stream) -> None:
    replica = Replica(stream, "Double")
    replica.ready()
    stream.send(numbers(10))
    stream.replies(10)
    (worker,) = replica.status()["workers"]
    os.kill(worker["pid"], signal.SIGKILL)
    stream.send(numbers(10))
    assert_once_and_in_order(stream.replies(20), 20)
    assert replica.status()["workers"][0]["restarts"] == 1


@pytest.mark.parametrize(
    "deadly", [*(pytest.param(each, marks=pytest.mark.full) for each in (500, 505)), 777]
)
def test_a_message_that_kills_workers_becomes_a_dead_letter(stream: Stream, deadly: int) -> None:
    values = numbers(40)
    values[17] = json.dumps({"data": {"ndarray": [[deadly, 0]]}}).encode()
    stream.send(values)
    replica = Replica(stream, "Moody", KAFKA_PREDICT_TIMEOUT_S="1", KAFKA_LOG_LEVEL="debug")
    (letter,) = stream.letters(1, within_s=60)
    assert letter.reason == "worker_crash"
    assert letter.original().value == values[17]
    assert_once_and_in_order(stream.replies(39), 39)
    assert letter.source not in [("", *source(reply)) for reply in stream.replies(39)]
    if deadly != 500:
        assert "predict" in stream.log(), "the stack says where"
    assert replica.process.poll() is None


@pytest.mark.full
def test_all_messages_that_kill_workers_are_found(stream: Stream) -> None:
    values = numbers(20)
    for place in (3, 4, 9, 10):
        values[place] = b'{"data":{"ndarray":[[500,0]]}}'
    stream.send(values, partition=0)
    Replica(stream, "Moody", KAFKA_SESSION_TIMEOUT_MS="1500")
    assert [letter.reason for letter in stream.letters(4, within_s=90)] == ["worker_crash"] * 4
    assert_once_and_in_order(stream.replies(16), 16)


def test_a_class_that_fails_on_every_message_stops_consumption_until_resumed(
    stream: Stream,
) -> None:
    stream.send(numbers(1000))
    replica = Replica(stream, "Broken")

    wait_until(replica.halted, 40, "consumption stops")
    assert get(replica.port, "/live")[0] == 200
    assert len(stream.letters(0)) < 400
    replica.process.terminate()
    assert replica.process.wait(promised(6)) == 0
    replica = Replica(stream, "Double")
    wait_until(replica.halted, 20, "a restart by the platform changes nothing")
    replica.process.terminate()
    replica.process.wait(promised(6))
    replica = Replica(stream, "Double", "--resume")
    wait_until(lambda: stream.lag() == 0, 40, "the mended class goes on")


def test_when_consumption_stops_all_workers_stop(stream: Stream) -> None:
    stream.send(numbers(1000))
    replica = Replica(stream, "Broken", KAFKA_WORKERS="3")
    wait_until(replica.halted, 40, "consumption stops")
    wait_until(
        lambda: not any(worker["pid"] for worker in replica.status()["workers"]), 10, "all leave"
    )


def test_when_consumption_stops_no_worker_that_was_killed_counts_as_reading(stream: Stream) -> None:
    replica = Replica(stream, "Moody", KAFKA_WORKERS="3", KAFKA_STOP_TIMEOUT_S="2")
    replica.ready()
    wait_until(
        lambda: all(len(worker["partitions"]) == 1 for worker in replica.status()["workers"]),
        20,
        "each has a partition",
    )
    stream.send([b'{"data":{"ndarray":[[777,0]]}}'], partition=2)
    stream.send([b'{"data":{"ndarray":[[666,0]]}}'] * 500, partition=0)
    told = "killing workers that did not leave in time"
    wait_until(lambda: told in stream.log(), 60, "one that hangs is killed")

    def read() -> int:
        return sum(int(each.value) for each in measured(replica.port, "kafka_worker_partitions"))

    wait_until(lambda: read() == 0, 10, "nobody reads any partition")


def test_a_replica_is_not_ready_while_its_input_topic_is_deleted(
    stream: Stream, new_topic: Callable[..., str]
) -> None:
    replica = Replica(stream, "Double", KAFKA_CLIENT_TOPIC_METADATA_REFRESH_INTERVAL_MS="1000")
    replica.ready()
    admin, topic = stream.admin(), stream.settings.input_topic
    admin.delete_topics([topic])[topic].result()

    def told() -> bool:
        status, why = get(replica.port, "/ready")
        return status == 503 and f"topic {topic} does not exist" in why

    wait_until(told, 40, "/ready says so")
    new_topic("in", partitions=3, retention_ms="-1")
    await_usable(admin, [topic])
    replica.ready()


def test_a_worker_that_can_never_start_ends_the_supervisor_with_the_reason(
    stream: Stream,
) -> None:
    replica = Replica(stream, "Missing")
    assert replica.process.wait(patient(30)) == 1
    assert "no class 'Missing'" in stream.log()
    assert "giving up" in stream.log()


def test_a_killed_supervisor_leaves_no_worker_behind(stream: Stream) -> None:
    replica = Replica(stream, "Double")
    replica.ready()
    (worker,) = replica.status()["workers"]
    replica.process.kill()
    replica.process.wait()
    wait_until(lambda: not psutil.pid_exists(worker["pid"]), 10, "the worker left")


def test_the_error_for_wrong_use_is_one_line(stream: Stream) -> None:
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    with taken:
        port = str(taken.getsockname()[1])
        replica = Replica(stream, "Double", KAFKA_HTTP_PORT=port)
        assert replica.process.wait(patient(20)) == 2
    assert "set KAFKA_HTTP_PORT" in stream.log()
    replica = Replica(stream, "Double", KAFKA_WORKRES="2")
    assert replica.process.wait(patient(20)) == 2
    assert "did you mean KAFKA_WORKERS?" in stream.log()
    assert "Traceback" not in stream.log()


def test_topics_without_a_broker_setting_are_refused() -> None:
    environ = {key: each for key, each in os.environ.items() if not key.startswith("KAFKA_")}
    ran = subprocess.run(
        [sys.executable, "-m", "seldon_kafka", "serve", "tests.support.classes.Double"],
        env={**environ, "KAFKA_BROKER": "", "KAFKA_GROUP_ID": "kmnist"},
        capture_output=True,
        text=True,
        timeout=patient(30),
    )
    assert ran.returncode == 2
    assert ran.stderr.startswith("error: KAFKA_GROUP_ID is set, and KAFKA_BROKER is not: name the")
