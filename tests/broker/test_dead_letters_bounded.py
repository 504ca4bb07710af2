"""A bad deployment leaves few dead letters, and bad senders stop no replica."""

from __future__ import annotations

import contextlib
import io
import itertools
import signal
from collections.abc import Callable

import pytest

from seldon_kafka.dead_letters.index import index_of
from seldon_kafka.dead_letters.mailbox import Mailbox
from seldon_kafka.dead_letters.selection import Selection
from tests.broker.test_supervisor import Replica, get
from tests.support.commands import dead_letters as main
from tests.support.patience import patient
from tests.support.stream import Stream, numbers, source, wait_until

NewStream = Callable[..., Stream]
LIMIT = 100
# Small transactions, so that dead letters are written before the limit is reached.
SMALL = {
    "KAFKA_COMMIT_MESSAGES": "7",
    "KAFKA_BATCH_MESSAGES": "7",
    "KAFKA_SESSION_TIMEOUT_MS": "1500",
}


def is_halted(replica: Replica) -> bool:
    return "consumption stopped" in get(replica.port, "/ready")[1]


def rejected(stream: Stream) -> list[tuple[int, int]]:
    """Returns the partition and offset of every input that became a dead letter."""
    with Mailbox(stream.settings) as mailbox:
        index = index_of(mailbox.everything(settled=True), Selection())
    return [letter.source[1:] for letter in index.letters]


def letters_after_restarts(stream: Stream, replicas: int, restarts: int) -> int:
    """Restarts a bad deployment as a platform does, and counts its dead letters.

    The steps repeat: its container is terminated and restarted, its container is killed and
    restarted, and it is replaced by one on a machine without its state.
    """
    ways = itertools.cycle((signal.SIGTERM, signal.SIGKILL, None))
    machine = 0
    for _ in range(restarts):
        before = len(rejected(stream))
        running = [
            Replica(
                stream, "Broken", **SMALL, KAFKA_WORKER_ID=f"pod-{machine}-{number}",
                KAFKA_STATE_DIR=str(stream.folder / f"machine-{machine}-{number}"),
            )
            for number in range(replicas)
        ]  # fmt: skip
        wait_until(
            lambda running=running, before=before: (
                all(map(is_halted, running))  # type: ignore[misc]
                or len(rejected(stream)) >= before + LIMIT // 3
            ),
            60,
            "some messages are rejected, or consumption stops",
        )
        way = next(ways)
        machine += way is None
        for replica in running:
            replica.process.send_signal(way or signal.SIGTERM)
        for replica in running:
            replica.process.wait(patient(20))
    return len(rejected(stream))


def assert_all_is_answered_after_repair(stream: Stream, count: int, within_s: float) -> None:
    """Checks that a repaired deployment, without the state of the bad one, answers everything."""
    replica = Replica(
        stream, "Double", KAFKA_WORKER_ID="mended", KAFKA_STATE_DIR=str(stream.folder / "mended")
    )
    wait_until(lambda: stream.lag() == 0, within_s, "the mended class answers what is left")
    letters = rejected(stream)
    answered = [source(reply) for reply in stream.replies(count - len(letters), within_s)]
    assert sorted(letters + answered) == sorted({*letters, *answered})
    assert len(letters) + len(answered) == count
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()):
        for name, value in stream.environ.items():
            patch.setenv(name, value)
        assert main(["replay", "--all"]) == 0
    assert len(stream.replies(count, within_s)) == count
    assert get(replica.port, "/ready")[0] == 200


@pytest.mark.parametrize(
    ("replicas", "restarts"),
    [
        pytest.param(1, 6, marks=pytest.mark.full),
        pytest.param(2, 6, marks=pytest.mark.full),
        (2, 3),
    ],
)
def test_a_bad_deployment_leaves_at_most_the_limit_however_often_it_is_restarted(
    new_stream: NewStream, replicas: int, restarts: int
) -> None:
    stream = new_stream(partitions=4)
    stream.send(numbers(2000))
    letters = letters_after_restarts(stream, replicas, restarts)
    assert 0 < letters < LIMIT * replicas
    assert_all_is_answered_after_repair(stream, 2000, within_s=60)


@pytest.mark.full
@pytest.mark.timeout(600)
@pytest.mark.parametrize("replicas", [1, 3])
def test_a_bad_deployment_over_100_000_messages(new_stream: NewStream, replicas: int) -> None:
    stream = new_stream(partitions=12)
    stream.send(numbers(100_000))
    letters = letters_after_restarts(stream, replicas, restarts=12)
    assert 0 < letters < LIMIT * replicas
    assert_all_is_answered_after_repair(stream, 100_000, within_s=200)


def assert_bad_senders_stop_no_replica(stream: Stream, count: int, within_s: float) -> None:
    replica = Replica(stream, "Double")
    replica.ready()
    stream.send([b"nonsense"] * count)
    stream.send(numbers(20))
    wait_until(lambda: stream.lag() == 0, within_s, "everything is answered or rejected")
    assert len(stream.replies(20)) == 20
    letters = rejected(stream)
    assert len(set(letters)) == len(letters) == count
    assert get(replica.port, "/ready")[0] == 200


def test_bad_messages_of_senders_do_not_stop_the_service(new_stream: NewStream) -> None:
    assert_bad_senders_stop_no_replica(new_stream(), 3000, within_s=60)


@pytest.mark.full
@pytest.mark.timeout(600)
def test_100_000_bad_messages_of_a_sender_do_not_stop_the_service(new_stream: NewStream) -> None:
    assert_bad_senders_stop_no_replica(new_stream(partitions=12), 100_000, within_s=300)
