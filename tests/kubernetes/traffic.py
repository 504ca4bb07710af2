"""Numbered images in, answers out: what got lost, came twice, was wrong, and how long it took.

A message's number is its `meta.puid`: the one thing that both ways between the topics hand on.
"""

from __future__ import annotations

import functools
import json
import threading
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from confluent_kafka import TIMESTAMP_CREATE_TIME, Consumer, Producer, TopicPartition

from model.artefacts import FLOAT
from model.dataset import load_split
from model.loader import FAST, load_classifier
from tests.kubernetes.overlays import Variant

KEYS = 97
_READ_S = 0.5


@dataclass(frozen=True)
class Answer:
    """One reply.

    Attributes:
        puid: the number of what it answers.
        label: the class that it found.
        model: what the reply says that it comes from.
        partition: of the output topic.
        at_s: when it was written, in seconds since 1970, as the broker says.
    """

    puid: str
    label: int
    model: str
    partition: int
    at_s: float

    @property
    def number(self) -> int:
        """Which message of its run it answers."""
        return int(self.puid.rpartition("-")[2])


@dataclass(frozen=True)
class Verdict:
    """What became of a run's messages.

    Attributes:
        sent: how many there were.
        lost: those without an answer.
        doubled: answers beyond the first.
        wrong: answers that are not what the model says of that image.
        out_of_order: answers that come before one to an earlier message of their key.
        slowest_s: the longest that a message waited for its first answer.
        took_s: from the first message to the last answer.
        models: how many answers each model gave.
    """

    sent: int
    lost: int
    doubled: int
    wrong: int
    out_of_order: int
    slowest_s: float
    took_s: float
    models: dict[str, int]

    @property
    def promises_kept(self) -> bool:
        """Each answered once, rightly, in order."""
        return (self.lost, self.doubled, self.wrong, self.out_of_order) == (0, 0, 0, 0)


class Run:
    """Messages of one kind, told apart from all others on the same topics.

    Args:
        variant: whose topics.
        count: how many messages.
        rate: messages a second; 0 is as fast as it goes.
    """

    def __init__(self, variant: Variant, count: int, rate: float = 0.0) -> None:
        self._variant, self._count, self._rate = variant, count, rate
        self._name = uuid.uuid4().hex[:8]
        self._thread = threading.Thread(target=self._send, daemon=True)
        self._starts = self._ends()
        self._sent_s: list[float] = []
        self.sent = 0
        self.started_s = 0.0

    def start(self) -> Run:
        """Begins to send."""
        self.started_s = time.time()
        self._thread.start()
        return self

    def finish_sending(self) -> Run:
        """Waits until all is sent."""
        self._thread.join(self._count / (self._rate or 500) + 60)
        assert self.sent == self._count
        return self

    def judge(self, within_s: float, quiet_s: float = 10.0) -> Verdict:
        """Reads until each is answered, or nothing has come for a while.

        Args:
            within_s: how long to wait for the first answer, and at most between two.
            quiet_s: how long to listen for answers that come twice.
        """
        answers = self._read(within_s, quiet_s)
        counts = Counter(answer.puid for answer in answers)
        labels = _known().labels
        wrong = sum(answer.label != labels[answer.number % len(labels)] for answer in answers)
        times = sorted(answer.at_s for answer in answers)
        first: dict[int, float] = {}
        for answer in answers:
            first[answer.number] = min(answer.at_s, first.get(answer.number, answer.at_s))
        waits = [at_s - self._sent_s[number] for number, at_s in first.items()]
        return Verdict(
            sent=self._count,
            lost=self._count - len(counts),
            doubled=sum(counts.values()) - len(counts),
            wrong=wrong,
            out_of_order=inversions(answers),
            slowest_s=max(waits, default=0.0),
            took_s=(times[-1] if times else time.time()) - self.started_s,
            models=Counter(answer.model for answer in answers),
        )

    def first_answer_s(self, within_s: float) -> float:
        """Waits for the first answer; when it was written, in seconds since 1970."""
        return min(answer.at_s for answer in self._read(within_s, 0.0, most=1))

    def _send(self) -> None:
        producer = Producer(
            {
                **self._variant.client,
                "partitioner": "murmur2_random",
                "enable.idempotence": True,
                "linger.ms": 5,
                "log_level": 2,
            }
        )
        topic = self._variant.input_topic
        images = _known().images
        for number in range(self._count):
            if self._rate:
                time.sleep(max(0.0, self.started_s + number / self._rate - time.time()))
            self._sent_s.append(time.time())
            puid = json.dumps({"puid": f"{self._name}-{number}"})
            value = f'{{"meta":{puid},"data":{images[number % len(images)]}}}'
            self._produce(producer, topic, value, f"key-{number % KEYS}")
        assert producer.flush(60) == 0
        self.sent = self._count

    def _produce(self, producer: Producer, topic: str, value: str, key: str) -> None:
        while True:
            try:
                producer.produce(topic, value, key=key)
                producer.poll(0)
                return
            except BufferError:  # the client's queue is full: wait until some are delivered
                producer.poll(0.1)

    def _consumer(self) -> Consumer:
        return Consumer(
            {
                **self._variant.client,
                "group.id": "judge",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "log_level": 2,
            }
        )

    def _ends(self) -> list[TopicPartition]:
        topic = self._variant.output_topic
        consumer = self._consumer()
        try:
            places = consumer.list_topics(topic, timeout=20).topics[topic].partitions
            return [
                TopicPartition(
                    topic,
                    place,
                    consumer.get_watermark_offsets(TopicPartition(topic, place), timeout=20)[1],
                )
                for place in places
            ]
        finally:
            consumer.close()

    def _read(self, within_s: float, quiet_s: float, most: int = 0) -> list[Answer]:
        consumer = self._consumer()
        consumer.assign(self._starts)
        found: list[Answer] = []
        known: set[str] = set()
        last_s = time.monotonic()
        try:
            while True:
                for message in consumer.consume(1000, _READ_S):
                    answer = self._answer(message)
                    if answer is None:
                        continue
                    last_s = time.monotonic()
                    known.add(answer.puid)
                    found.append(answer)
                quiet = time.monotonic() - last_s
                whole = len(known) >= (most or self._count)
                if (whole and quiet >= quiet_s) or quiet > within_s:
                    return found
        finally:
            consumer.close()

    def _answer(self, message: Any) -> Answer | None:
        if message.error() is not None:
            return None
        reply = json.loads(message.value())
        puid = reply.get("meta", {}).get("puid", "")
        if not puid.startswith(self._name) or "data" not in reply:
            return None
        rows = reply["data"].get("ndarray") or _tensor(reply["data"]["tensor"])
        kind, written_ms = message.timestamp()
        # A reply has its request's time, so the topics of the rig keep the broker's.
        assert kind != TIMESTAMP_CREATE_TIME, "the output topic must have LogAppendTime"
        model = str(reply["meta"].get("tags", {}).get("model", ""))
        label = int(np.argmax(rows[0]))
        return Answer(puid, label, model, message.partition(), written_ms / 1000)


def _tensor(tensor: dict[str, Any]) -> Any:
    return np.reshape(tensor["values"], tensor["shape"])


def inversions(answers: Sequence[Answer]) -> int:
    """How many answers were written after one to a later message of the same key.

    Answers are in the order in which they were read. What the broker wrote to two partitions within
    one millisecond has no order.
    """
    latest: dict[int, Answer] = {}
    found = 0
    for answer in sorted(answers, key=lambda each: each.at_s):
        before = latest.get(answer.number % KEYS)
        if before is None or answer.number > before.number:
            latest[answer.number % KEYS] = answer
        elif answer.partition == before.partition or answer.at_s > before.at_s:
            found += answer.number < before.number
    return found


@dataclass(frozen=True)
class _Known:
    """The first test images as JSON, and what the form that Python 3.8 serves says of each."""

    images: list[str]
    labels: list[int]


@functools.cache
def _known() -> _Known:
    images = load_split("test").images[:3000]
    rows = load_classifier(FAST / FLOAT).probabilities(images)
    texts = [json.dumps({"ndarray": [image.tolist()]}) for image in images]
    return _Known(texts, np.argmax(rows, axis=1).tolist())
