"""What a worker makes of what the client library tells it; the library itself is scripted."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, KafkaError, TopicPartition

from seldon_kafka.config.settings import load_settings
from seldon_kafka.messages import UNREADABLE_BATCH
from seldon_kafka.worker import consumer as consumer_module
from seldon_kafka.worker.consumer import Events, WorkerConsumer

TOPIC = "model_input"


class Message:
    """A consumed message, or an error in the place of one."""

    size = 1

    def __init__(self, partition: int, offset: int, error: int | None = None) -> None:
        self._place = (partition, offset)
        self._error = None if error is None else KafkaError(error)

    def error(self) -> KafkaError | None:
        return self._error

    def topic(self) -> str:
        return TOPIC

    def partition(self) -> int:
        return self._place[0]

    def offset(self) -> int:
        return self._place[1]

    def timestamp(self) -> tuple[int, int]:
        return TIMESTAMP_CREATE_TIME, 1

    def key(self) -> None:
        return None

    def value(self) -> bytes:
        return b"x" * self.size

    def headers(self) -> None:
        return None


class Library:
    """The client library: hands out what it was given, and notes what it is told."""

    def __init__(self) -> None:
        self.queue: list[Message] = []
        self.assign_to_me: Callable[..., None]
        self.member = "me"
        self.ends = {0: 10_000, 1: 10_000}
        self.assigned: list[list[tuple[int, int]]] = []
        self.sought: list[tuple[int, int]] = []
        self.committed_offsets: list[tuple[int, int]] = []
        self.polls = 0
        self.paused: list[TopicPartition] = []

    def subscribe(self, topics: list[str], on_assign: Callable[..., None], **_: Any) -> None:
        self.assign_to_me = lambda *places: on_assign(
            self, [TopicPartition(TOPIC, place) for place in places]
        )

    def consume(self, limit: int, wait_s: float) -> list[Message]:
        self.polls += 1
        if self.paused:
            return []
        taken, self.queue = self.queue[:limit], self.queue[limit:]
        return taken

    def memberid(self) -> str:
        return self.member

    def consumer_group_metadata(self) -> str:
        return f"the generation of {self.member or 'nobody'}"

    def committed(self, places: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        return [TopicPartition(TOPIC, place.partition, 100) for place in places]

    def get_watermark_offsets(self, place: TopicPartition, timeout: float) -> tuple[int, int]:
        return 0, self.ends[place.partition]

    def assign(self, places: list[TopicPartition]) -> None:
        self.assigned.append([(place.partition, place.offset) for place in places])

    def assignment(self) -> list[TopicPartition]:
        return [TopicPartition(TOPIC, partition) for partition, _ in self.assigned[-1]]

    def pause(self, places: list[TopicPartition]) -> None:
        self.paused = places

    def resume(self, places: list[TopicPartition]) -> None:
        self.paused = []

    def seek(self, place: TopicPartition) -> None:
        self.sought.append((place.partition, place.offset))

    def commit(self, offsets: list[TopicPartition], asynchronous: bool) -> list[TopicPartition]:
        self.committed_offsets += [(place.partition, place.offset) for place in offsets]
        return offsets


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    made = Library()
    monkeypatch.setattr(consumer_module, "Consumer", lambda config: made)
    return made


@pytest.fixture
def consumer(library: Library) -> WorkerConsumer:
    settings = load_settings({"KAFKA_BROKER": "localhost:1"})
    nothing: Any = lambda *_: None  # noqa: E731
    made = WorkerConsumer(settings, Events(nothing, nothing, nothing, nothing, lambda: False))
    made.subscribe()
    library.assign_to_me(0, 1)
    return made


def offsets(consumer: WorkerConsumer, partition: int) -> list[int]:
    return [record.offset for record in consumer.backlog if record.partition == partition]


def test_what_cannot_be_unpacked_is_passed_over_once_however_often_it_is_told(
    library: Library, consumer: WorkerConsumer
) -> None:
    bad = KafkaError._BAD_COMPRESSION
    library.queue = [Message(0, 100), Message(0, 101, bad), Message(0, 101, bad), Message(1, 100)]
    library.queue += [Message(0, 101, bad), Message(1, 101, bad)]
    consumer.poll(100, 0)
    assert (offsets(consumer, 0), offsets(consumer, 1)) == ([100, 101], [100, 101])
    assert library.sought == [(0, 102), (1, 102)]
    library.queue = [Message(0, 101, bad)]
    consumer.poll(100, 0)
    assert offsets(consumer, 0) == [100, 101, 102]
    unreadable = [r.offset for r in consumer.backlog if r.headers is UNREADABLE_BATCH]
    assert unreadable == [101, 101, 102]


def test_what_cannot_be_unpacked_is_passed_over_also_if_it_is_anothers(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = {"KAFKA_BROKER": "localhost:1", "KAFKA_SHARE": "0-0"}
    settings = load_settings(environ)
    nothing: Any = lambda *_: None  # noqa: E731
    consumer = WorkerConsumer(settings, Events(nothing, nothing, nothing, nothing, lambda: False))
    consumer.subscribe()
    library.assign_to_me(0)
    bad = KafkaError._BAD_COMPRESSION
    for _ in range(3):
        library.queue = [Message(0, 100, bad)]
        consumer.poll(100, 0)
    assert not consumer.backlog
    assert library.sought == [(0, 101), (0, 102), (0, 103)]


def test_a_member_that_the_group_has_given_up_reads_nothing_and_keeps_its_generation(
    library: Library, consumer: WorkerConsumer
) -> None:
    library.member = ""
    library.assign_to_me(0, 1)
    assert library.assigned[-1] == []
    assert consumer.group_metadata() == "the generation of me"


def test_the_end_of_a_quiet_partition_is_reached_while_another_is_busy(
    library: Library, consumer: WorkerConsumer
) -> None:
    eof = KafkaError._PARTITION_EOF
    library.queue = [Message(1, 100), Message(1, 102, eof), Message(0, 100)]
    consumer.poll(100, 0)
    assert consumer.ends_to_commit() == {}, "what is before it has not been taken in hand"
    consumer.backlog.popleft()
    assert consumer.ends_to_commit() == {1: 102}
    consumer.committed({1: 102}, "")
    assert consumer.ends_to_commit() == {}


def test_after_a_rewind_no_end_is_reached(library: Library, consumer: WorkerConsumer) -> None:
    library.queue = [Message(1, 102, KafkaError._PARTITION_EOF)]
    consumer.poll(100, 0)
    assert consumer.ends_to_commit() == {1: 102}
    consumer.rewind()
    assert consumer.ends_to_commit() == {}


def test_behind_deleted_messages_it_is_read_on_when_all_before_them_is_answered(
    library: Library, consumer: WorkerConsumer
) -> None:
    library.queue = [Message(0, 100), Message(1, 100, KafkaError.OFFSET_OUT_OF_RANGE)]
    consumer.poll(100, 0)
    library.queue = [Message(0, 101)]
    consumer.poll(100, 0)
    assert offsets(consumer, 0) == [100], "more would come twice"
    consumer.backlog.clear()
    consumer.committed({0: 101}, "")
    assigned = len(library.assigned)
    consumer.poll(100, 0)
    assert library.assigned[assigned:] == [[(0, 101), (1, 100)]]
    assert offsets(consumer, 0) == [101]


def test_what_is_consumed_beside_a_backlog_comes_after_it(
    library: Library, consumer: WorkerConsumer
) -> None:
    library.queue = [Message(0, 100), Message(1, 100)]
    consumer.poll(100, 0)
    library.queue = [Message(0, 101)]
    consumer.poll(100, 0)
    assert offsets(consumer, 0) == [100, 101]
    assert offsets(consumer, 1) == [100]


def test_the_group_hears_of_a_worker_whose_backlog_keeps_it_from_reading_on(
    library: Library, consumer: WorkerConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.queue = [Message(0, 100), Message(1, 100, KafkaError.OFFSET_OUT_OF_RANGE)]
    consumer.poll(100, 0)
    polls, now = library.polls, time.monotonic()
    consumer.poll(100, 0)
    assert library.polls == polls
    monkeypatch.setattr(time, "monotonic", lambda: now + 60)
    library.queue = [Message(0, 101)]
    consumer.poll(100, 0)
    assert library.polls == polls + 1
    assert offsets(consumer, 0) == [100]


def test_a_backlog_is_bounded_by_messages_and_by_bytes(
    library: Library, consumer: WorkerConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert consumer.room(10) == 10
    library.queue = [Message(0, 100 + number) for number in range(4)]
    consumer.poll(100, 0)
    assert (consumer.room(10), consumer.room(4), consumer.room(3)) == (6, 0, 0)
    monkeypatch.setattr(Message, "size", 40 * 1024 * 1024)
    library.queue = [Message(0, 104)]
    consumer.poll(100, 0)
    assert consumer.room(10) == 0
