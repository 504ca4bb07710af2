"""Where topics and a consumer group stand."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence, Tuple

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec

_TIMEOUT_S = 15
_COORDINATOR_BUSY = (
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
)


@dataclass(frozen=True)
class Partition:
    """One partition.

    Attributes:
        partition: Its number.
        leader: The broker that serves it, or None while it has no leader.
        replicas: The brokers that keep it.
        in_sync: Those that have everything.
        first: Offset of the oldest record.
        end: Offset that the next record gets.
        committed: Where the group goes on, or None if it never committed there.
        lag: Records (and transaction markers) between the two; None without a commit.
    """

    partition: int
    leader: Optional[int]
    replicas: Tuple[int, ...]
    in_sync: Tuple[int, ...]
    first: Optional[int]
    end: Optional[int]
    committed: Optional[int]
    lag: Optional[int]


@dataclass(frozen=True)
class TopicReport:
    """A topic's partitions, in order; None if there is no such topic."""

    topic: str
    partitions: Optional[Tuple[Partition, ...]]

    @property
    def lag(self) -> Optional[int]:
        """The group's lag over all partitions; None where it never committed."""
        known = [p.lag for p in self.partitions or () if p.lag is not None]
        return sum(known) if known else None


def report(admin: Any, names: Sequence[str], group: str) -> List[TopicReport]:
    """Ask the brokers about topics.

    Args:
        admin: A `confluent_kafka.admin.AdminClient`.
        names: The topics; one that does not exist is reported as such.
        group: The consumer group whose commits and lag are told.

    Raises:
        KafkaException: The brokers do not answer.
    """
    topics = admin.list_topics(timeout=_TIMEOUT_S).topics
    every = [
        TopicPartition(name, number)
        for name in names
        if name in topics
        for number in sorted(topics[name].partitions)
    ]
    served = [tp for tp in every if topics[tp.topic].partitions[tp.partition].leader >= 0]
    first = _offsets(admin, served, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
    end = _offsets(admin, served, OffsetSpec.latest())  # type: ignore[no-untyped-call]
    committed = _committed(admin, group, every)
    reports = []
    for name in names:
        if name not in topics:
            reports.append(TopicReport(name, None))
            continue
        partitions = []
        for number, known in sorted(topics[name].partitions.items()):
            at = (name, number)
            partitions.append(
                Partition(
                    partition=number,
                    leader=known.leader if known.leader >= 0 else None,
                    replicas=tuple(known.replicas),
                    in_sync=tuple(sorted(known.isrs)),
                    first=first.get(at),
                    end=end.get(at),
                    committed=committed.get(at),
                    lag=lag(first.get(at), end.get(at), committed.get(at)),
                )
            )
        reports.append(TopicReport(name, tuple(partitions)))
    return reports


def lag(first: Optional[int], end: Optional[int], committed: Optional[int]) -> Optional[int]:
    """How far a group is behind; what retention has deleted is not ahead of it any more."""
    if end is None or committed is None:
        return None
    return max(0, end - max(committed, first or 0))


def _offsets(
    admin: Any, partitions: Sequence[TopicPartition], spec: OffsetSpec
) -> Dict[Tuple[str, int], int]:
    if not partitions:
        return {}
    answers = admin.list_offsets(dict.fromkeys(partitions, spec), request_timeout=_TIMEOUT_S)
    return {(tp.topic, tp.partition): f.result().offset for tp, f in answers.items()}


def _committed(
    admin: Any, group: str, partitions: Sequence[TopicPartition]
) -> Dict[Tuple[str, int], int]:
    if not partitions:
        return {}
    answers = _group_offsets(admin, ConsumerGroupTopicPartitions(group, list(partitions)))
    return {(tp.topic, tp.partition): tp.offset for tp in answers if tp.offset >= 0}


def _group_offsets(admin: Any, asked: ConsumerGroupTopicPartitions) -> List[TopicPartition]:
    deadline = time.monotonic() + _TIMEOUT_S
    while True:
        future = admin.list_consumer_group_offsets([asked], request_timeout=_TIMEOUT_S)
        try:
            partitions: List[TopicPartition] = future[asked.group_id].result().topic_partitions
            return partitions
        except KafkaException as error:
            code = error.args[0].code()
            if code == KafkaError.GROUP_ID_NOT_FOUND:
                return []
            # A broker that has just started, or taken the group over, reads its commits first.
            if code not in _COORDINATOR_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(0.1)
