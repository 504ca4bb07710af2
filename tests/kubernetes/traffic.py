"""Sends numbered images, and counts lost, repeated and wrong answers and their times.

A message's number is its `meta.puid`, which is the only field that both runtimes keep.
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
        puid: id of the answered message.
        label: the most probable class.
        model: name of the model in the reply.
        partition: partition of the output topic.
        at_s: the broker's timestamp, in seconds since 1970.
    """

    puid: str
    label: int
    model: str
    partition: int
    at_s: float

    @property
    def number(self) -> int:
        """Number of the answered message in its run."""
        return int(self.puid.rpartition("-")[2])


@dataclass(frozen=True)
class Verdict:
    """The results of a run.

    Attributes:
        sent: number of messages.
        lost: number of messages without an answer.
        doubled: number of answers after the first to the same message.
        wrong: number of answers that differ from those of the model.
        out_of_order: number of answers after one to a later message of the same key.
        slowest_s: longest time in seconds from a message to its first answer.
        took_s: seconds from the first message to the last answer.
        models: number of answers by model.
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
        """Whether each message was answered once, correctly and in order."""
        return (self.lost, self.doubled, self.wrong, self.out_of_order) == (0, 0, 0, 0)


class Run:
    """A run of messages, with ids that no other run on the same topics has.

    Args:
        variant: the runtime, with its topics.
        count: number of messages.
        rate: messages per second; 0 sends without a limit.
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
        """Starts to send."""
        self.started_s = time.time()
        self._thread.start()
        return self

    def finish_sending(self) -> Run:
        """Waits until all messages are sent."""
        self._thread.join(self._count / (self._rate or 500) + 60)
        assert self.sent == self._count
        return self

    def judge(self, within_s: float, quiet_s: float = 10.0) -> Verdict:
        """Reads until each message is answered, or until no answer arrives for a while.

        Args:
            within_s: maximum wait in seconds for the first answer, and between two answers.
            quiet_s: seconds of further reading, to find repeated answers.
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
        """Waits for the first answer; returns its timestamp, in seconds since 1970."""
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
            except BufferError:  # the client's queue is full: wait until messages are delivered
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
            partitions = consumer.list_topics(topic, timeout=20).topics[topic].partitions
            return [
                TopicPartition(
                    topic,
                    number,
                    consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=20)[1],
                )
                for number in partitions
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
        # A reply has its request's timestamp, so the output topics use the broker's time.
        assert kind != TIMESTAMP_CREATE_TIME, "the output topic must have LogAppendTime"
        model = str(reply["meta"].get("tags", {}).get("model", ""))
        label = int(np.argmax(rows[0]))
        return Answer(puid, label, model, message.partition(), written_ms / 1000)


def _tensor(tensor: dict[str, Any]) -> Any:
    return np.reshape(tensor["values"], tensor["shape"])


def inversions(answers: Sequence[Answer]) -> int:
    """Returns the number of answers that were written after one to a later message of their key.

    Answers are in the order of reading. Answers in two partitions within one millisecond have no
    order.
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
    """The first test images as JSON, with the labels of the model form for Python 3.8.

    Attributes:
        images: images as JSON.
        labels: label of each image.
    """

    images: list[str]
    labels: list[int]


@functools.cache
def _known() -> _Known:
    images = load_split("test").images[:3000]
    rows = load_classifier(FAST / FLOAT).probabilities(images)
    texts = [json.dumps({"ndarray": [image.tolist()]}) for image in images]
    return _Known(texts, np.argmax(rows, axis=1).tolist())
