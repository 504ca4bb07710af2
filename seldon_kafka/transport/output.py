"""The output of a worker: its topics, their limits, and the producer that commits to them."""

from __future__ import annotations

import contextlib
from typing import Callable, List, Optional, Sequence, Tuple

from confluent_kafka import KafkaException, TopicPartition

from seldon_kafka.config.settings import Settings
from seldon_kafka.messages import Outcome
from seldon_kafka.transport.deliveries import Refusal
from seldon_kafka.transport.log_entry import OutcomeLog
from seldon_kafka.transport.output_messages import OutputMessage, TopicLimits, compose
from seldon_kafka.transport.producers import (
    AtLeastOnceProducer,
    OutputProducer,
    TransactionalProducer,
)
from seldon_kafka.transport.topic_limits import TopicMissing, look_up

_MIB = 1024 * 1024


class Output:
    """Composes messages from outcomes and commits them.

    Args:
        settings: topics, and exactly-once or at-least-once processing.
        worker: name of the worker.
        transactional_id: transactional id of the worker's producer.
        commit: commits offsets without a transaction, for at-least-once processing.
        before_call: called before each call that may take long, for the watchdog.

    Raises:
        TopicMissing: a topic does not exist.
        RightMissing: the worker has no right to a topic.
        KafkaException: the brokers don't answer.
    """

    def __init__(
        self,
        settings: Settings,
        worker: str,
        transactional_id: str,
        commit: Callable[[Sequence[TopicPartition]], None],
        before_call: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._worker = worker
        self._replies: TopicLimits
        self._dead_letters: TopicLimits
        self._log: Optional[OutcomeLog] = None
        self._look_up()
        batch_bytes = self._batch_bytes()
        self._producer: OutputProducer
        if settings.processing == "exactly_once":
            self._producer = TransactionalProducer(
                settings, transactional_id, batch_bytes, before_call
            )
        else:
            self._producer = AtLeastOnceProducer(settings, commit, batch_bytes, before_call)

    def start(self) -> None:
        """Starts the producer, and ends an open transaction with its transactional id.

        Raises:
            NotCommitted: the brokers don't answer; try again.
            RightMissing: the worker has no right to transactions.
        """
        self._producer.start()

    def compose(self, outcomes: List[Outcome]) -> Tuple[List[Outcome], List[OutputMessage]]:
        """Composes the messages for outcomes.

        Returns:
            The outcomes, of which replies that are too large for their topic are replaced by
            rejections; and the messages: one for each outcome, then entries of the request log.
        """
        pairs = [
            compose(outcome, self._replies, self._dead_letters, self._worker)
            for outcome in outcomes
        ]
        outcomes = [outcome for outcome, _ in pairs]
        messages = [message for _, message in pairs]
        if self._log is not None:
            messages.extend(self._log.compose(outcomes))
        return outcomes, messages

    def commit(
        self,
        messages: List[OutputMessage],
        offsets: Sequence[TopicPartition],
        group_metadata: object,
        while_waiting: Callable[[], bool],
    ) -> None:
        """Commits messages and offsets; see `OutputProducer.commit`.

        Raises:
            NotCommitted: the records must be answered again.
            RightMissing: the worker has no right to transactions.
        """
        self._producer.commit(messages, offsets, group_metadata, while_waiting)

    def apply(self, refusal: Refusal) -> bool:
        """Applies a broker's refusal, so that the same message is not sent again in the same way.

        Returns:
            Whether the record is to be rejected, because its reply can't be sent at all.

        Raises:
            RightMissing: the worker may no longer write to a topic.
        """
        self.look_up_again()
        is_reply = refusal.topic == self._replies.topic
        if refusal.size > self._limits_of(refusal.topic).max_bytes:
            # The topic's limit was lowered. `compose` applies the new limit from now on.
            return False
        allowed = self._batch_bytes()
        smaller = allowed if self._producer.batch_bytes > allowed else 1
        if self._producer.batch_bytes > smaller:
            # A broker refuses a whole batch. With one message in each batch, the refused message
            # is known.
            self._producer.send_smaller(smaller)
            return False
        if not is_reply:
            self._cut_to(refusal.topic, refusal.size // 2)
        return is_reply

    def _limits_of(self, topic: str) -> TopicLimits:
        if self._log is not None and topic == self._log.limits.topic:
            return self._log.limits
        return self._replies if topic == self._replies.topic else self._dead_letters

    def _cut_to(self, topic: str, max_bytes: int) -> None:
        """Limits the size of messages to the dead-letter topic or the request log, in bytes."""
        limits = self._limits_of(topic)._replace(max_bytes=max_bytes)
        if limits.topic == self._dead_letters.topic:
            self._dead_letters = limits
        elif self._log is not None:
            self._log.limits = limits

    def look_up_again(self) -> None:
        """Looks up the topics' limits again, because a topic may have new limits.

        The limits stay as they are if a topic is missing or the brokers don't answer.

        Raises:
            RightMissing: the worker may no longer write to a topic.
        """
        with contextlib.suppress(TopicMissing, KafkaException):
            self._look_up()

    def _look_up(self) -> None:
        settings = self._settings
        names = [settings.output_topic, settings.dead_letter_topic]
        if settings.log_requests:
            names.append(settings.log_topic)
        limits = look_up(settings, names, "worker")
        self._replies, self._dead_letters = limits[names[0]], limits[names[1]]
        if settings.log_requests:
            self._log = OutcomeLog(settings, limits[settings.log_topic], self._worker)

    def _batch_bytes(self) -> int:
        """Returns the size of the largest record batch that every topic allows, up to 1 MiB."""
        limits = [self._replies, self._dead_letters]
        if self._log is not None:
            limits.append(self._log.limits)
        return min(_MIB, *(each.max_bytes for each in limits))

    def close(self) -> None:
        """Closes the producer, which has no open transaction outside of `commit`."""
        self._producer.close()
