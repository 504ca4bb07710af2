"""The worker: consumes, has batches answered, and publishes the answers. One thread."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from typing import Any, Dict, List, Optional, Tuple

from confluent_kafka import KafkaException

from kafka.messages import Outcome
from kafka.pipeline import Retriable
from kafka.replies import Target, compose
from kafka.served_class import ServedClass
from kafka.settings import Settings
from kafka.worker import metrics
from kafka.worker.answering import Answering
from kafka.worker.breaker import Breaker
from kafka.worker.deliveries import NotPublished, Refusal
from kafka.worker.in_hand import InHand
from kafka.worker.intake import Events, Intake
from kafka.worker.place import Place, state_folder
from kafka.worker.positions import Gap
from kafka.worker.publisher import PlainPublisher, TransactionalPublisher, text_of
from kafka.worker.status import JOINING, READY, STALLED, StatusPipe
from kafka.worker.targets import TopicMissing, look_up
from kafka.worker.watchdog import Watchdog

log = logging.getLogger("kafka.worker")

# How long an idle worker waits before it looks whether it should leave.
_IDLE_WAIT_S = 0.2
_BACKOFF_FIRST_S = 0.05
_BACKOFF_MOST_S = 5.0
# Others who join the group wait until every member has been heard.
_KEEP_MEMBERSHIP_S = 2.0
# A call to the brokers that has not come back by then never will.
_BROKER_CALL_S = 90.0
_MIB = 1024 * 1024


class Halted(Exception):
    """The class fails at most of what it gets; consumption stops until an operator restarts."""


class Worker:
    """Answers what arrives on the input topic until it is told to stop.

    Args:
        settings: all of them.
        served: the class that answers.
        place: which worker this is.
        status: told what happens.
        parent: process id of the supervisor; the worker leaves when that is gone.
    """

    def __init__(
        self,
        settings: Settings,
        served: ServedClass,
        place: Place,
        status: StatusPipe,
        parent: Optional[int] = None,
    ) -> None:
        self._settings = settings
        self._place = place
        self._status = status
        self._parent = parent
        self._stopping = False
        self._progress = 0
        self._backoff_s = 0.0
        self._in_hand = InHand(state_folder(settings), place.transactional_id)
        # A class at which worker after worker dies fails as much as one that raises.
        self._breaker = Breaker.of(settings, self._in_hand.failed)
        self._watchdog = Watchdog()
        self._answering = Answering(
            settings, served, self._in_hand, self._watchdog, place.name, lambda: self._stopping
        )

    def stop(self) -> None:
        """Finishes what is in hand, then leaves; may be called from a signal handler."""
        self._stopping = True

    def run(self) -> None:
        """Works until `stop`.

        Raises:
            Halted: the class fails at most of what it gets.
            GapFound: messages were deleted unread, and `KAFKA_ON_GAP` is `stop`.
            KafkaException: the group or the topic can't be used at all.
        """
        targets = self._targets()
        if targets is None:
            return
        self._use(targets)
        self._intake = Intake(self._settings, self._events())
        self._publisher = self._make_publisher()
        self._start_publisher()
        self._tell(JOINING)
        try:
            self._intake.subscribe()
            while not self._stopping:
                self._turn()
        finally:
            self._watch_broker_call()
            self._publisher.close()
            self._intake.close()
            self._watchdog.rest()
        self._in_hand.close()

    def _targets(self) -> Optional[Dict[str, Target]]:
        """The topics to write to, as soon as they are there; None if told to stop before."""
        while not self._stopping:
            try:
                return look_up(self._settings, self._target_names())
            except TopicMissing as error:
                self._stalled(str(error))
            except KafkaException as error:
                self._stalled(
                    f"no broker answers at {self._settings.broker}: {error.args[0].str()}"
                )
            self._back_off()
        return None

    def _target_names(self) -> Tuple[str, str]:
        return self._settings.output_topic, self._settings.dead_letter_topic

    def _use(self, targets: Dict[str, Target]) -> None:
        self._replies = targets[self._settings.output_topic]
        self._dead_letters = targets[self._settings.dead_letter_topic]

    def _make_publisher(self) -> Any:
        batch_bytes = self._batch_bytes()
        wind = self._watch_broker_call
        if self._settings.processing == "exactly_once":
            return TransactionalPublisher(
                self._settings, self._place.transactional_id, batch_bytes, wind
            )
        return PlainPublisher(self._settings, self._intake.commit, batch_bytes, wind)

    def _batch_bytes(self) -> int:
        """The largest batch of many messages: not larger than the smaller topic takes."""
        return min(_MIB, self._replies.max_bytes, self._dead_letters.max_bytes)

    def _watch_broker_call(self) -> None:
        self._watchdog.wind(_BROKER_CALL_S)

    def _start_publisher(self) -> None:
        while not self._stopping:
            try:
                self._publisher.start()
                return
            except NotPublished as error:
                self._stalled(str(error))
                self._back_off()
            finally:
                self._watchdog.rest()

    def _turn(self) -> None:
        """One turn: takes what is there, answers it, publishes it."""
        intake = self._intake
        if self._parent is not None and os.getppid() != self._parent:
            log.warning("%s leaves: its supervisor is gone", self._place.name)
            self.stop()
        if intake.backlog:
            intake.keep_membership(_KEEP_MEMBERSHIP_S)
        else:
            intake.fill(self._settings.commit_messages, _IDLE_WAIT_S)
        if not intake.backlog:
            return
        group_metadata = intake.group_metadata()
        outcomes = self._answer_backlog()
        if outcomes:
            self._publish(outcomes, group_metadata)

    def _answer_backlog(self) -> List[Outcome]:
        try:
            return self._answering.answer(self._intake.backlog)
        except Retriable as error:
            metrics.RETRIES.labels(self._place.name).inc()
            self._stalled(f"the class asks to try again later: {error}")
            self._back_off()
            return []

    def _publish(self, outcomes: List[Outcome], group_metadata: Any) -> None:
        messages = []
        for number, outcome in enumerate(outcomes):
            outcomes[number], message = compose(
                outcome, self._replies, self._dead_letters, self._place.name
            )
            messages.append(message)
        breaker, why = self._breaker.after(outcomes)
        if why is not None:
            raise Halted(why)
        positions: Dict[int, int] = {}
        for outcome in outcomes:
            positions[outcome.record.partition] = outcome.record.offset + 1
        started = time.perf_counter()
        try:
            self._publisher.publish(messages, positions, group_metadata)
        except NotPublished as error:
            self._not_published(error)
            return
        finally:
            self._watchdog.rest()
        seconds = time.perf_counter() - started
        metrics.STAGE_SECONDS.labels(self._place.name, "publish").observe(seconds)
        self._breaker = breaker
        self._in_hand.failed = breaker.failed.consecutive
        self._published(outcomes, positions)

    def _published(self, outcomes: List[Outcome], positions: Dict[int, int]) -> None:
        self._intake.published(positions)
        self._answering.published(positions)
        metrics.count_published(self._place.name, outcomes)
        self._backoff_s = 0.0
        self._progress += 1
        if self._progress == 1 or self._status.last.state != READY:
            self._tell(READY)

    def _not_published(self, error: NotPublished) -> None:
        metrics.ABORTS.labels(self._place.name).inc()
        log.info("%s does the batch again: %s", self._place.name, error)
        if error.refusal is not None:
            self._note_refusal(error.refusal)
        elif self._backoff_s > 1 and not error.unknown:
            self._look_up_again()
        if self._backoff_s > 1:
            self._stalled(f"replies can't be published: {error}")
        self._answering.not_published()
        self._back_off()
        if error.unknown:
            self._settle()
        self._intake.rewind()

    def _settle(self) -> None:
        """Finds out whether a commit of unknown outcome was one, before anything is done again."""
        while not self._stopping:
            try:
                # Ends what the last producer left open; then the group's position is certain.
                self._publisher.start()
                self._intake.reload_positions()
                return
            except NotPublished as error:
                self._stalled(str(error))
            except KafkaException as error:
                self._stalled(f"the group's position can't be read: {text_of(error)}")
            finally:
                self._watchdog.rest()
            self._back_off()

    def _note_refusal(self, refusal: Refusal) -> None:
        """Sees to it that what a broker won't take does not come again as it was."""
        self._look_up_again()
        of_replies = refusal.topic == self._replies.topic
        if refusal.size > (self._replies if of_replies else self._dead_letters).max_bytes:
            # The topic takes less than it did; now that this is known, composing heeds it.
            return
        known = self._batch_bytes()
        smaller = known if self._publisher.batch_bytes > known else 1
        if self._publisher.batch_bytes > smaller:
            # A broker refuses a batch as a whole. Alone in its batch, the guilty one shows.
            self._publisher.send_smaller(smaller)
        elif of_replies:
            self._answering.refuse(refusal.source, refusal.why)
        else:
            self._dead_letters = self._dead_letters._replace(max_bytes=refusal.size // 2)

    def _look_up_again(self) -> None:
        """Topics may have been made anew, with other partitions than before."""
        with contextlib.suppress(TopicMissing, KafkaException):
            self._use(look_up(self._settings, self._target_names()))

    def _on_assigned(self, partitions: List[int]) -> None:
        self._in_hand.adopt()
        metrics.PARTITIONS.labels(self._place.name).set(len(partitions))
        log.info("%s reads partitions %s", self._place.name, partitions)
        self._tell(READY, partitions=tuple(partitions))

    def _events(self) -> Events:
        return Events(self._on_assigned, self._on_revoked, self._on_gap, self._stalled)

    def _on_revoked(self) -> None:
        metrics.PARTITIONS.labels(self._place.name).set(0)
        self._tell(self._status.last.state, self._status.last.detail, partitions=())

    def _on_gap(self, gap: Gap) -> None:
        metrics.GAPS.labels(self._place.name).inc(max(0, gap.first - gap.committed))
        log.error("%s", gap)

    def _stalled(self, detail: str) -> None:
        if self._status.last.detail != detail:
            log.warning("%s waits: %s", self._place.name, detail)
        self._tell(STALLED, detail)

    def _tell(self, state: str, detail: str = "", partitions: Any = None) -> None:
        last = self._status.last
        self._status.tell(
            last._replace(
                state=state,
                detail=detail,
                partitions=last.partitions if partitions is None else partitions,
                progress=self._progress,
            )
        )

    def _back_off(self) -> None:
        """Waits a little longer each time, still ready to leave."""
        self._backoff_s = min(_BACKOFF_MOST_S, max(_BACKOFF_FIRST_S, self._backoff_s * 2))
        wake_at = time.monotonic() + self._backoff_s
        while not self._stopping and time.monotonic() < wake_at:
            time.sleep(min(_IDLE_WAIT_S, max(0.0, wake_at - time.monotonic())))
