"""The consumer of a worker, over a scripted client library."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, KafkaError, TopicPartition

from seldon_kafka.config.settings import load_settings
from seldon_kafka.messages import UNREADABLE_BATCH, Record
from seldon_kafka.worker import consumer as consumer_module
from seldon_kafka.worker.consumer import Events, WorkerConsumer

TOPIC = "model_input"


class Message:
    """A consumed message, or an error in the each of one."""

    size = 1

    def __init__(self, partition: int, offset: int, error: int | None = None) -> None:
        self._position = (partition, offset)
        self._error = None if error is None else KafkaError(error)

    def error(self) -> KafkaError | None:
        return self._error

    def topic(self) -> str:
        return TOPIC

    def partition(self) -> int:
        return self._position[0]

    def offset(self) -> int:
        return self._position[1]

    def timestamp(self) -> tuple[int, int]:
        return TIMESTAMP_CREATE_TIME, 1

    def key(self) -> None:
        return None

    def value(self) -> bytes:
        return b"x" * self.size

    def headers(self) -> None:
        return None


class Library:
    """The client library: returns prepared records, and stores the calls."""

    def __init__(self) -> None:
        self.queue: list[Message] = []
        self.assign_to_me: Callable[..., None]
        self.revoke_from_me: Callable[..., None]
        self.before_consume: Callable[[], object] = lambda: None
        self.member = "me"
        self.ends = {0: 10_000, 1: 10_000}
        self.assigned: list[list[tuple[int, int]]] = []
        self.sought: list[tuple[int, int]] = []
        self.committed_offsets: list[tuple[int, int]] = []
        self.polls = 0
        self.paused: list[TopicPartition] = []

    def subscribe(
        self,
        topics: list[str],
        on_assign: Callable[..., None],
        on_revoke: Callable[..., None],
        on_lost: Callable[..., None],
    ) -> None:
        def told(callback: Callable[..., None]) -> Callable[..., None]:
            return lambda *partitions: callback(
                self, [TopicPartition(TOPIC, partition) for partition in partitions]
            )

        self.assign_to_me, self.revoke_from_me = told(on_assign), told(on_revoke)

    def consume(self, limit: int, wait_s: float) -> list[Message]:
        self.polls += 1
        self.before_consume()
        if self.paused:
            return []
        taken, self.queue = self.queue[:limit], self.queue[limit:]
        return taken

    def memberid(self) -> str:
        return self.member

    def consumer_group_metadata(self) -> str:
        return f"the generation of {self.member or 'nobody'}"

    def committed(self, partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        return [TopicPartition(TOPIC, each.partition, 100) for each in partitions]

    def get_watermark_offsets(self, each: TopicPartition, timeout: float) -> tuple[int, int]:
        return 0, self.ends[each.partition]

    def assign(self, partitions: list[TopicPartition]) -> None:
        self.assigned.append([(each.partition, each.offset) for each in partitions])

    def assignment(self) -> list[TopicPartition]:
        return [TopicPartition(TOPIC, partition) for partition, _ in self.assigned[-1]]

    def pause(self, partitions: list[TopicPartition]) -> None:
        self.paused = partitions

    def resume(self, partitions: list[TopicPartition]) -> None:
        self.paused = []

    def seek(self, each: TopicPartition) -> None:
        self.sought.append((each.partition, each.offset))

    def commit(self, offsets: list[TopicPartition], asynchronous: bool) -> list[TopicPartition]:
        self.committed_offsets += [(each.partition, each.offset) for each in offsets]
        return offsets


class Queue:
    """Stores the records that it gets."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def add(self, records: Sequence[Record]) -> None:
        self.records.extend(records)

    def drop(self, partitions: Collection[int]) -> None:
        self.records = [each for each in self.records if each.partition not in partitions]

    def offsets(self, partition: int) -> list[int]:
        return [record.offset for record in self.records if record.partition == partition]


class Clock:
    """A clock that a test advances."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    made = Library()
    monkeypatch.setattr(consumer_module, "Consumer", lambda config: made)
    return made


@pytest.fixture
def queue() -> Queue:
    return Queue()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def subscribed(queue: Queue, clock: Clock, **environ: str) -> WorkerConsumer:
    settings = load_settings({"KAFKA_BROKER": "localhost:1", **environ})
    nothing: Any = lambda *_: None  # noqa: E731
    events = Events(nothing, nothing, nothing, nothing, lambda: False)
    made = WorkerConsumer(settings, queue, events, clock)
    made.subscribe()
    return made


@pytest.fixture
def consumer(library: Library, queue: Queue, clock: Clock) -> WorkerConsumer:
    made = subscribed(queue, clock)
    library.assign_to_me(0, 1)
    return made


def test_an_unreadable_record_is_skipped_once_however_often_it_is_reported(
    library: Library, consumer: WorkerConsumer, queue: Queue
) -> None:
    bad = KafkaError._BAD_COMPRESSION
    library.queue = [Message(0, 100), Message(0, 101, bad), Message(0, 101, bad), Message(1, 100)]
    library.queue += [Message(0, 101, bad), Message(1, 101, bad)]
    consumer.poll(100, 0)
    assert (queue.offsets(0), queue.offsets(1)) == ([100, 101], [100, 101])
    assert library.sought == [(0, 102), (1, 102)]
    library.queue = [Message(0, 101, bad)]
    consumer.poll(100, 0)
    assert queue.offsets(0) == [100, 101, 102]
    unreadable = [r.offset for r in queue.records if r.headers is UNREADABLE_BATCH]
    assert unreadable == [101, 101, 102]


def test_an_unreadable_record_that_comes_first_is_skipped_once_too(
    library: Library, consumer: WorkerConsumer, queue: Queue
) -> None:
    bad = KafkaError._BAD_COMPRESSION
    library.queue = [Message(0, 100, bad), Message(0, 100, bad), Message(1, 100)]
    consumer.poll(100, 0)
    assert (queue.offsets(0), queue.offsets(1)) == ([100], [100])


def test_an_unreadable_record_of_another_deployment_is_skipped_too(
    library: Library, queue: Queue, clock: Clock
) -> None:
    consumer = subscribed(queue, clock, KAFKA_SHARE="0-0")
    library.assign_to_me(0)
    bad = KafkaError._BAD_COMPRESSION
    for _ in range(3):
        library.queue = [Message(0, 100, bad)]
        consumer.poll(100, 0)
    assert not queue.records
    assert library.sought == [(0, 101), (0, 102), (0, 103)]


def test_a_member_that_the_group_has_removed_reads_nothing_and_keeps_its_generation(
    library: Library, consumer: WorkerConsumer
) -> None:
    library.member = ""
    library.assign_to_me(0, 1)
    assert library.assigned[-1] == []
    assert consumer.group_metadata() == "the generation of me"


def test_the_end_of_a_partition_is_committed_once_every_record_before_it_is_answered(
    library: Library, consumer: WorkerConsumer
) -> None:
    eof = KafkaError._PARTITION_EOF
    library.queue = [Message(1, 100), Message(1, 102, eof), Message(0, 100)]
    consumer.poll(100, 0)
    assert consumer.ends_to_commit({}) == {}
    assert consumer.ends_to_commit({0: 101}) == {}
    assert consumer.ends_to_commit({1: 101}) == {1: 102}
    consumer.committed({1: 102}, "")
    assert consumer.ends_to_commit({}) == {}


def test_ends_of_idle_partitions_are_committed_with_their_metadata(
    library: Library, consumer: WorkerConsumer
) -> None:
    library.queue = [Message(0, 100), Message(1, 102, KafkaError._PARTITION_EOF)]
    consumer.poll(100, 0)
    consumer.poll(100, 0)
    assert library.committed_offsets == [], "a record is not answered"
    consumer.committed({0: 101}, "")
    consumer.poll(100, 0)
    assert library.committed_offsets == [(1, 102)]
    consumer.poll(100, 0)
    assert library.committed_offsets == [(1, 102)]


def test_after_a_rewind_no_end_is_reached(library: Library, consumer: WorkerConsumer) -> None:
    library.queue = [Message(0, 100), Message(1, 102, KafkaError._PARTITION_EOF)]
    consumer.poll(100, 0)
    assert consumer.ends_to_commit({}) == {1: 102}
    consumer.rewind()
    assert consumer.ends_to_commit({}) == {}
    assert library.sought == [(0, 100), (1, 100)]


def test_reading_goes_on_after_deleted_records_once_every_record_is_answered(
    library: Library, consumer: WorkerConsumer, queue: Queue
) -> None:
    library.queue = [Message(0, 100), Message(1, 100, KafkaError.OFFSET_OUT_OF_RANGE)]
    consumer.poll(100, 0)
    library.queue = [Message(0, 101)]
    consumer.poll(100, 0)
    assert queue.offsets(0) == [100], "the next offset is not certain"
    consumer.committed({0: 101}, "")
    assigned = len(library.assigned)
    consumer.poll(100, 0)
    assert library.assigned[assigned:] == [[(0, 101), (1, 100)]]
    assert queue.offsets(0) == [100, 101]


def test_records_come_in_the_order_of_the_polls(
    library: Library, consumer: WorkerConsumer, queue: Queue
) -> None:
    library.queue = [Message(0, 100), Message(1, 100)]
    consumer.poll(100, 0)
    library.queue = [Message(0, 101)]
    consumer.poll(100, 0)
    assert (queue.offsets(0), queue.offsets(1)) == ([100, 101], [100])


def test_records_of_a_partition_that_is_revoked_between_two_calls_are_dropped(
    library: Library, consumer: WorkerConsumer, queue: Queue
) -> None:
    library.queue = [Message(0, 100), Message(1, 100)]
    library.before_consume = lambda: library.polls == 2 and library.revoke_from_me(0, 1)
    consumer.poll(100, 0)
    assert queue.offsets(0) == []


def test_records_of_a_former_assignment_are_dropped(
    library: Library, consumer: WorkerConsumer, queue: Queue
) -> None:
    library.queue = [Message(0, 100), Message(1, 100)]
    consumer.poll(100, 0)
    library.assign_to_me(1)
    assert queue.records == []


def test_a_worker_that_can_take_no_record_stays_in_the_group(
    library: Library, consumer: WorkerConsumer, queue: Queue, clock: Clock
) -> None:
    library.queue = [Message(0, 100), Message(1, 100, KafkaError.OFFSET_OUT_OF_RANGE)]
    consumer.poll(100, 0)
    polls = library.polls
    consumer.poll(100, 0)
    assert library.polls == polls
    clock.now += 60
    library.queue = [Message(0, 101)]
    consumer.poll(100, 0)
    assert library.polls == polls + 1
    assert queue.offsets(0) == [100]
