"""User models that make demands on their worker process."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seldon_kafka.messages import Record, header
from tests.broker.test_supervisor import get, measured
from tests.support.ports import free_port
from tests.support.stream import Stream, assert_once_and_in_order, numbers, source, wait_until

NewStream = Callable[..., Stream]


def start(stream: Stream, class_name: str, worker_id: str = "a", **environ: str) -> Any:
    return stream.start(
        "seldon_kafka",
        "worker",
        f"tests.support.demanding_classes.{class_name}",
        KAFKA_WORKER_ID=worker_id,
        **environ,
    )


def rows(reply: Record) -> Any:
    return json.loads(reply.value or b"")["data"]["ndarray"]


def assert_each_has_its_own_answer(replies: list[Record]) -> None:
    for reply in replies:
        number = 1000 + int(header(reply.headers, "seq") or b"-1")
        assert rows(reply) == [[2 * number, -2 * number]]


def test_a_class_runs_in_the_main_thread_and_keeps_its_signal_handler(
    new_stream: NewStream, tmp_path: Path
) -> None:
    stream, called = new_stream(), tmp_path / "called"
    stream.send(numbers(600))
    worker = start(stream, "LivesInOneThread", HANDLER_CALLED=str(called))
    replies = stream.replies(600)
    assert_once_and_in_order(replies, 600)
    assert_each_has_its_own_answer(replies)
    worker.terminate()
    assert worker.wait(30) == 0
    assert called.read_text() == "15"


@pytest.mark.parametrize("held", ["lock", "nothing"])
def test_sigterm_during_c_code_ends_the_worker_after_its_message(
    new_stream: NewStream, held: str
) -> None:
    stream = new_stream()
    stream.send(numbers(200))
    worker = start(stream, "Holds", HOLDS=held)
    wait_until(lambda: stream.lag() < 200, 40, "work has begun")
    worker.terminate()
    assert worker.wait(30) == 0
    answered = 200 - stream.lag()
    assert 0 < answered < 200
    assert_once_and_in_order(stream.replies(answered), answered)


@pytest.mark.parametrize("name", ["LeavesThread", "LeavesProcess", "LeavesPool"])
def test_threads_that_a_class_leaves_behind_do_not_keep_a_worker_from_exiting(
    new_stream: NewStream, name: str
) -> None:
    stream = new_stream()
    worker = start(stream, name)
    stream.send(numbers(10))
    stream.replies(10)
    worker.terminate()
    assert worker.wait(30) == 0
    assert stream.lag() == 0


def test_a_class_that_reuses_its_buffer_gives_each_message_its_own_answer(
    new_stream: NewStream,
) -> None:
    stream = new_stream()
    stream.send(numbers(3000))
    start(stream, "Buffered")
    replies = stream.replies(3000)
    assert_once_and_in_order(replies, 3000)
    assert_each_has_its_own_answer(replies)
    assert "the class does not declare that it is row-wise" in stream.log()


def test_a_message_that_alone_meets_temporary_errors_is_rejected_in_order(
    new_stream: NewStream, tmp_path: Path
) -> None:
    stream = new_stream(partitions=2)
    start(stream, "Upstream", UPSTREAM_DOWN=str(tmp_path / "down"), KAFKA_RETRY_MESSAGE_S="1")
    stream.send(numbers(40))
    (letter,) = stream.letters(1)
    assert (letter.reason, header(letter.original().headers, "seq")) == ("retries_exhausted", b"13")
    replies = stream.replies(39)
    sources = [source(reply) for reply in replies]
    assert len(set(sources)) == 39
    for partition in range(2):
        offsets = [offset for found, offset in sources if found == partition]
        assert offsets == sorted(offsets)


def test_no_message_is_rejected_while_none_is_answered(
    new_stream: NewStream, tmp_path: Path
) -> None:
    stream, down = new_stream(), tmp_path / "down"
    down.touch()
    start(stream, "Upstream", UPSTREAM_DOWN=str(down), KAFKA_RETRY_MESSAGE_S="0")
    stream.send(numbers(10))
    wait_until(lambda: stream.log().count("tries again in") > 8, 40, "it was tried often")
    assert stream.lag() >= 10
    assert stream.read(stream.settings.dead_letter_topic, 0) == []
    down.unlink()
    assert_once_and_in_order(stream.replies(10, within_s=60), 10)


def test_metrics_of_a_class_are_counted_once_and_do_not_fall_when_its_worker_is_killed(
    new_stream: NewStream,
) -> None:
    stream, port = new_stream(), free_port()
    stream.start(
        "seldon_kafka",
        "serve",
        "tests.support.demanding_classes.Measured",
        KAFKA_WORKER_ID="replica",
        KAFKA_HTTP_PORT=str(port),
        KAFKA_SELDON_SERVER="off",
    )

    def seen() -> float:
        return float(sum(each.value for each in measured(port, "seen_total")))

    stream.send(numbers(50))
    wait_until(lambda: seen() == 50, 40, "all are counted")
    (gauge,) = measured(port, "height")
    assert (gauge.value, gauge.labels["method"]) == (7.5, "predict")
    (counter,) = measured(port, "seen_total")
    assert (counter.labels["kind"], counter.labels["worker_id"]) == ("row", "replica.0")
    (took,) = measured(port, "took_sum")
    assert took.value == pytest.approx(50 * 0.02)

    def worker() -> Any:
        return json.loads(get(port, "/status")[1])["workers"][0]

    wait_until(lambda: "metrics" in worker()["batching"], 40, "the status says why")
    os.kill(worker()["pid"], signal.SIGKILL)
    stream.send(numbers(20))
    wait_until(lambda: seen() == 70, 60, "counting goes on")


def test_transformers_and_a_model_form_a_chain_of_topics(
    new_stream: NewStream, new_topic: Callable[..., str]
) -> None:
    stream = new_stream()
    between = [new_topic(name, retention_ms="-1") for name in ("transformed", "predicted")]
    steps = [
        ("TRANSFORMER", "tests.support.demanding_classes.Adds", None, between[0]),
        ("MODEL", "tests.support.classes.Double", between[0], between[1]),
        ("OUTPUT_TRANSFORMER", "tests.support.demanding_classes.Halves", between[1], None),
    ]
    for place, (service, name, read, written) in enumerate(steps):
        topics = {"KAFKA_INPUT_TOPIC": read, "KAFKA_OUTPUT_TOPIC": written}
        stream.start(
            "seldon_kafka",
            "worker",
            name,
            SERVICE_TYPE=service,
            KAFKA_WORKER_ID=f"step-{place}",
            KAFKA_GROUP_ID=f"{stream.settings.group_id}-{place}",
            **{name: topic for name, topic in topics.items() if topic},
        )
    stream.send([b'{"data":{"ndarray":[[3,5]]},"meta":{"puid":"p"}}'])
    (reply,) = stream.replies(1, within_s=60)
    assert rows(reply) == [[4.0, 6.0]]
    assert json.loads(reply.value or b"")["meta"]["puid"] == "p"


@pytest.mark.parametrize(
    ("name", "environ", "why"),
    [
        ("Awaits", {}, "Awaits.predict is an async function"),
        ("Adds", {}, "Adds has no predict method"),
        ("Buffered", {"SERVICE_TYPE": "ROUTER"}, "SERVICE_TYPE=ROUTER can't be served"),
    ],
)
def test_a_class_that_cannot_be_served_is_refused_in_one_line(
    new_stream: NewStream, name: str, environ: dict[str, str], why: str
) -> None:
    stream = new_stream()
    assert start(stream, name, **environ).wait(60) == 2
    (line,) = [each for each in stream.log().splitlines() if each.startswith("error:")]
    assert why in line
    assert "Traceback" not in stream.log()


def test_a_compacted_dead_letter_topic_takes_messages_without_a_key(
    new_stream: NewStream, new_topic: Callable[..., str]
) -> None:
    stream = new_stream()
    dead = new_topic("compacted", cleanup_policy="compact")
    stream.environ["KAFKA_DEAD_LETTER_TOPIC"] = dead
    stream.worker("Double")
    stream.send_without_key([b"nonsense", b'{"data":{"ndarray":[[1]]}}'])
    (letter,) = stream.letters(1)
    assert letter.reason == "not_json"
    assert letter.record.key == f"{letter.source[0]}/{letter.source[1]}/{letter.source[2]}".encode()
    assert letter.original().key is None
    assert len(stream.replies(1)) == 1


def test_the_details_of_an_exception_are_in_the_dead_letter(
    new_stream: NewStream,
) -> None:
    stream = new_stream()
    start(stream, "Refuses", KAFKA_AUDIT_TOPIC="the class's own")
    stream.send(numbers(1))
    (letter,) = stream.letters(1)
    assert (letter.reason, letter.message) == ("bad_payload", "no such customer")
    assert letter.error() == {
        "status": "422",
        "app code": "E7",
        "body": '{"status": {"app_code": "E7", "info": "no such customer"}}',
    }
    assert stream.log().count("KAFKA_AUDIT_TOPIC") == 1
