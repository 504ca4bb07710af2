"""`seldon-kafka dead-letters` on a real broker, as an operator uses it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import pytest
from confluent_kafka import KafkaError, Producer

from producer.bundled_samples import load_samples
from seldon_kafka.dead_letters.index import index_of
from seldon_kafka.dead_letters.letters import REPLAYED
from seldon_kafka.dead_letters.mailbox import Mailbox, MailboxError
from seldon_kafka.dead_letters.replay import Replay, chunks
from seldon_kafka.dead_letters.selection import Selection
from seldon_kafka.messages import Record, Rejection, header
from seldon_kafka.transport.output_messages import TopicLimits, compose
from tests.support.commands import dead_letters as main
from tests.support.patience import patient
from tests.support.stream import Stream, numbers, wait_until

NewStream = Callable[..., Stream]
SOME = 1700
PARTITIONS = 3


@pytest.fixture
def stream(new_stream: NewStream) -> Stream:
    return new_stream(partitions=PARTITIONS)


class Done(NamedTuple):
    """The result of a command."""

    returncode: int
    stdout: str
    stderr: str


def run(stream: Stream, *arguments: str) -> Done:
    """Runs a command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.dict(os.environ, stream.environ),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            status = main(list(arguments))
        except SystemExit as left:
            status = int(left.code or 0)
    return Done(status, out.getvalue(), err.getvalue())


def listed(stream: Stream, *arguments: str) -> list[Any]:
    done = run(stream, "list", "--json", "--limit", "0", *arguments)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def put_letters(
    stream: Stream, count: int, reason: str = "predict_failed", topic: str | None = None
) -> None:
    """Writes dead letters like a worker's, whose inputs do not exist; keys number them."""
    settings = stream.settings
    target = TopicLimits(settings.dead_letter_topic, PARTITIONS, 8_000_000)
    producer = Producer(stream.client({"log_level": 2}))
    for number in range(count):
        partition, offset = number % PARTITIONS, number // PARTITIONS
        source = Record(
            topic or settings.input_topic, partition, offset, 1_700_000_000_000 + number,
            b"key-%d" % number, numbers(1, number)[0], (("truth", b"%d" % number),),
        )  # fmt: skip
        letter = compose(Rejection(source, reason, "why not"), target, target, "w.0")[1]
        headers: Any = letter.headers
        producer.produce(letter.topic, letter.value, letter.key, letter.partition, headers=headers)
        producer.poll(0)
    assert producer.flush(30) == 0


def inputs(stream: Stream, count: int) -> list[Record]:
    return stream.read(stream.settings.input_topic, count)


def assert_each_replayed_once(stream: Stream, count: int) -> None:
    records = inputs(stream, count)
    assert Counter(record.key for record in records) == {b"key-%d" % n: 1 for n in range(count)}
    for record in records:
        number = int((record.key or b"").removeprefix(b"key-"))
        assert record.partition == number % PARTITIONS
        assert record.value == numbers(1, number)[0]
        assert record.headers == [
            ("truth", b"%d" % number),
            ("kafka-dead-attempts", b"1"),
            ("kafka-input-timestamp", b"%d" % (1_700_000_000_000 + number)),
        ]
        assert record.timestamp_ms > 1_700_000_100_000
    letters = listed(stream)
    assert len(letters) == count
    assert all(letter["replayed"] for letter in letters)
    markers = [
        header(record.headers, REPLAYED)
        for record in stream.read(stream.settings.dead_letter_topic, 2 * count)
        if record.value is None
    ]
    assert len(markers) == len(set(markers)) == count


def test_a_letter_is_listed_shown_replayed_and_answered(stream: Stream) -> None:
    samples = [image.tolist() for image in load_samples().images[:3]]
    images = [json.dumps({"data": {"ndarray": image}}).encode() for image in samples]
    stream.send([*images, b'{"data": [1,, 2]}'], partition=1, headers=[("truth", b"o")])
    worker = stream.worker("Broken", KAFKA_MAX_FAILED_CONSECUTIVE="0", KAFKA_MAX_FAILED_RATIO="0")
    stream.letters(4)
    worker.terminate()
    worker.wait(patient(10))

    letters = listed(stream)
    assert Counter(item["reason"] for item in letters) == {"predict_failed": 3, "not_json": 1}
    assert {item["key"] for item in letters} == {"key-0", "key-1", "key-2", "key-3"}
    place = letters[0]["place"]
    page = run(stream, "show", place, "--class", "wrapper.KmnistClassifier")
    assert page.returncode == 0, page.stderr
    assert "RuntimeError: a bad deployment" in page.stdout
    assert "█" in page.stdout, "the image is drawn"
    (broken,) = listed(stream, "--reason", "not_json")
    assert "column 13" in run(stream, "show", broken["place"]).stdout

    done = run(stream, "replay", "--reason", "predict_failed")
    assert (done.returncode, done.stdout) == (0, "replayed 3 dead letters\n"), done.stderr
    stream.start("seldon_kafka", "worker", "wrapper.KmnistClassifier", KAFKA_WORKER_ID="a")
    for reply in stream.replies(3, within_s=60):
        assert header(reply.headers, "truth") == b"o"
        assert header(reply.headers, "kafka-dead-attempts") == b"1"
        assert int(header(reply.headers, "kafka-input-timestamp") or b"") < 1_700_000_000_003
    assert [item["replayed"] for item in listed(stream, "--reason", "predict_failed")] == [True] * 3
    assert "replayed  1 times since" in run(stream, "show", place).stdout
    assert [item["place"] for item in listed(stream, "--waiting")] == [broken["place"]]
    assert len(listed(stream, "--replayed")) == 3


def test_letters_are_selected_by_reason_time_key_partition_and_position(stream: Stream) -> None:
    put_letters(stream, 6)
    put_letters(stream, 3, reason="bad_shape")
    assert len(listed(stream, "--reason", "bad_shape")) == 3
    assert len(listed(stream, "--reason", "bad_shape", "--reason", "predict_failed")) == 9
    assert len(listed(stream, "--since", "1h")) == 9
    assert listed(stream, "--until", "1h") == []
    assert len(listed(stream, "--key", "key-1")) == 2
    assert len(listed(stream, "--partition", "0", "--partition", "2")) == 6
    assert [item["place"] for item in listed(stream, "1:1", "--reason", "predict_failed")] == [
        "1:1"
    ]
    text = run(stream, "list", "--reason", "bad_shape", "--limit", "2").stdout
    assert "3 dead letters of 9: 3 bad_shape" in text
    assert "the newest 2 are shown" in text


def test_a_dry_run_sends_nothing_and_disturbs_no_replay(stream: Stream) -> None:
    put_letters(stream, 4)
    done = run(stream, "replay", "--all", "--dry-run")
    assert done.returncode == 0
    assert "would replay 4 dead letters" in done.stdout
    assert inputs(stream, 0) == []
    assert not any(letter["replayed"] for letter in listed(stream))


def test_a_message_is_replayed_until_its_attempts_are_used_up(stream: Stream) -> None:
    stream.send(numbers(2))
    stream.worker("Broken")
    for attempt in range(3):
        wait_until(lambda n=attempt: len(letters_of(stream, n)) == 2, 40, "it is rejected again")  # type: ignore[misc]
        done = run(stream, "replay", "--all")
        assert (done.returncode, done.stdout.splitlines()[0]) == (0, "replayed 2 dead letters")
    wait_until(lambda: len(letters_of(stream, 3)) == 2, 40, "it is rejected again")
    done = run(stream, "replay", "--all")
    assert done.returncode == 1
    assert "replayed 3 times (--attempts allows more)" in done.stderr
    assert len(inputs(stream, 8)) == 8
    first = {item["sent_ms"] for item in letters_of(stream, 3)}
    assert first == {1_700_000_000_000, 1_700_000_000_001}
    assert run(stream, "replay", "--all", "--attempts", "4").returncode == 0


def letters_of(stream: Stream, attempts: int) -> list[Any]:
    return [item for item in listed(stream) if item["attempts"] == attempts]


@pytest.mark.parametrize(
    ("method", "number", "when"),
    [
        pytest.param("init_transactions", 1, "after", marks=pytest.mark.full),
        pytest.param("begin_transaction", 2, "after", marks=pytest.mark.full),
        ("produce", 1300, "before"),
        pytest.param("commit_transaction", 1, "before", marks=pytest.mark.full),
        ("commit_transaction", 2, "during"),
        pytest.param("commit_transaction", 2, "after", marks=pytest.mark.full),
    ],
)
def test_a_replay_that_is_killed_and_run_again_sends_each_letter_once(
    stream: Stream, method: str, number: int, when: str
) -> None:
    put_letters(stream, SOME)
    killed = stream.start("tests.broker.replay_until", method, str(number), when, "--all")
    assert killed.wait(patient(60)) == -signal.SIGKILL, stream.log()
    done = run(stream, "replay", "--all")
    assert done.returncode == 0, done.stderr
    assert_each_replayed_once(stream, SOME)
    again = run(stream, "replay", "--all")
    assert again.returncode == 0
    assert f"{SOME:,} dead letters replayed before" in again.stdout
    assert len(inputs(stream, SOME)) == SOME


def test_a_second_replay_fences_the_first_which_reports_it(stream: Stream) -> None:
    put_letters(stream, SOME)
    first = stream.start("tests.broker.replay_until", "commit_transaction", "2", "stopped", "--all")
    wait_until(lambda: _is_stopped(first.pid), 40, "the first replay stands before a commit")
    second = run(stream, "replay", "--all")
    assert second.returncode == 0, second.stderr
    os.kill(first.pid, signal.SIGCONT)
    assert first.wait(patient(60)) == 1
    assert "another replay of this topic has started" in stream.log()
    assert "replayed 500 dead letters" in stream.log()
    assert_each_replayed_once(stream, SOME)


def test_a_replay_whose_connection_broke_does_not_fence_the_one_that_took_over(
    stream: Stream,
) -> None:
    put_letters(stream, SOME)
    first = Replay(stream.settings)
    with Mailbox(stream.settings) as mailbox:
        index = index_of(mailbox.everything(settled=True), Selection())
        parts = chunks(mailbox.letters(index.letters))
        assert first.send(next(parts), index.replays) == []
        assert run(stream, "replay", "--all").returncode == 0
        broken = "127.0.0.1:9092/1: Disconnected (after 5ms in state UP)"
        first._producer._on_error(KafkaError(KafkaError._TRANSPORT, broken))
        with pytest.raises(MailboxError, match=r"were not sent: the connection .* run it again"):
            first.send(next(parts), index.replays)
    assert_each_replayed_once(stream, SOME)


def test_letters_of_a_deleted_topic_are_left_out_and_the_others_are_sent(
    stream: Stream,
) -> None:
    put_letters(stream, 3)
    put_letters(stream, 1, topic="gone")
    done = run(stream, "replay", "--all")
    assert done.returncode == 1
    assert "replayed 3 dead letters" in done.stdout
    assert "left out: 0:1: topic gone does not exist" in done.stderr
    assert len(inputs(stream, 3)) == 3


def test_ctrl_c_waits_for_the_letters_in_flight(stream: Stream) -> None:
    put_letters(stream, SOME)
    replay = stream.start(
        "tests.broker.replay_until", "commit_transaction", "2", "stopped", "--all"
    )
    wait_until(lambda: _is_stopped(replay.pid), 40, "the replay stands before a commit")
    os.kill(replay.pid, signal.SIGINT)
    os.kill(replay.pid, signal.SIGCONT)
    assert replay.wait(patient(60)) == 130
    assert "replayed 1,000 dead letters" in stream.log()
    assert "Traceback" not in stream.log()
    assert len(inputs(stream, 1000)) == 1000


def _is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"


def test_markers_behind_a_workers_open_transaction_are_waited_for(stream: Stream) -> None:
    put_letters(stream, 3)
    topic = stream.settings.dead_letter_topic
    config = {"transactional.id": topic + ".dead-worker", "transaction.timeout.ms": 6000}
    worker = Producer(stream.client({**config, "log_level": 2}))
    worker.init_transactions(20)
    worker.begin_transaction()
    for partition in range(PARTITIONS):
        worker.produce(topic, b"never committed", partition=partition)
    worker.flush(10)
    assert run(stream, "replay", "--all").returncode == 0
    again = run(stream, "replay", "--all")
    assert again.returncode == 0, again.stderr
    assert "3 dead letters replayed before" in again.stdout
    assert len(inputs(stream, 3)) == 3


def test_a_purge_deletes_the_letters_before_all_others(stream: Stream) -> None:
    put_letters(stream, 6)
    assert run(stream, "replay", "0:0", "0:1", "1:1").returncode == 0
    asked = run(stream, "purge", "--replayed")
    assert asked.returncode == 2
    assert "add --yes" in asked.stderr
    dry = run(stream, "purge", "--replayed", "--dry-run")
    assert "2 dead letters can be deleted, 0 of them never replayed" in dry.stdout
    assert len(listed(stream)) == 6
    done = run(stream, "purge", "--replayed", "--yes")
    assert done.returncode == 1
    assert "1 dead letter can't" in done.stderr
    assert "before 1:1: 1:0" in done.stderr
    assert {item["place"] for item in listed(stream)} == {"1:0", "1:1", "2:0", "2:1"}
    done = run(stream, "purge", "--all", "--yes")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "deleted 4 dead letters")
    assert listed(stream) == []
    put_letters(stream, 3)
    assert len(listed(stream)) == 3
    assert run(stream, "replay", "--all").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["replay"], 2, "select letters:"),
        (["purge"], 2, "select letters:"),
        (["show", "3"], 2, "not PARTITION:OFFSET"),
        (["show", "0:7"], 1, "there is no dead letter at 0:7"),
        (["show", "99:7"], 1, "there is no dead letter at 99:7"),
        (["list", "--since", "soon"], 2, "2h, 7d"),
        (["list", "--limit", "-1"], 2, "negative"),
        (["replay", "--reason", "nothing"], 1, "no dead letter matches"),
        (["replay", "0:0", "2:9"], 1, "the selection has no dead letter at 0:0, 2:9"),
        (["explain", "0:0"], 2, "invalid choice"),
    ],
)
def test_the_error_for_wrong_use_is_one_line(
    stream: Stream, arguments: list[str], status: int, says: str
) -> None:
    done = run(stream, *arguments)
    assert done.returncode == status
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_the_error_for_a_missing_topic_names_the_command_that_creates_it(stream: Stream) -> None:
    stream.environ["KAFKA_DEAD_LETTER_TOPIC"] = "missing"
    for command in (["list"], ["show", "0:0"], ["replay", "--all"], ["purge", "--all", "--yes"]):
        done = run(stream, *command)
        assert done.returncode == 1
        assert re.search("topic missing does not exist.*seldon-kafka topics create", done.stderr)
