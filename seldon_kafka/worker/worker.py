"""The worker: consumes records, batches them for the user model, and commits the replies.

`Worker.run` is the I/O thread. The main thread created the user model, and runs it in
`Worker.serve`.
"""

from __future__ import annotations

import logging
import os
import time
from typing import Any, Dict, List, Optional, Sequence

from confluent_kafka import KafkaException, TopicPartition

from seldon_kafka.config.rights import RightMissing
from seldon_kafka.config.settings import Settings
from seldon_kafka.config.stop_signals import StopSignals
from seldon_kafka.errors import Retriable
from seldon_kafka.messages import Outcome
from seldon_kafka.pipeline.batch import Batch
from seldon_kafka.pipeline.user_model import UserModel
from seldon_kafka.transport.deliveries import NotCommitted
from seldon_kafka.transport.output import Output
from seldon_kafka.transport.producers import client_error_text
from seldon_kafka.transport.topic_limits import TopicMissing
from seldon_kafka.worker import metrics
from seldon_kafka.worker.batcher import Batcher
from seldon_kafka.worker.breaker import Breaker
from seldon_kafka.worker.consumer import Events, NotJoined, WorkerConsumer
from seldon_kafka.worker.identity import WorkerIdentity, state_folder
from seldon_kafka.worker.in_flight import InFlight
from seldon_kafka.worker.offsets import Gap, GapFound
from seldon_kafka.worker.retries import Retries
from seldon_kafka.worker.status import JOINING, READY, STACKED, STALLED, StatusPipe
from seldon_kafka.worker.watchdog import Watchdog

log = logging.getLogger("seldon_kafka.worker")

# An idle worker checks at this interval whether it was asked to stop.
_IDLE_WAIT_S = 0.2
_MEASURE_EVERY_S = 1.0
# During the delay after a temporary error, the worker polls at this interval.
_RETRY_CHECK_S = 0.05
_BACKOFF_FIRST_S = 0.05
_BACKOFF_MOST_S = 5.0
# A worker that has no partitions for this time, or whose commits fail for this time, is `stalled`.
# Rebalances and elections of leaders take less time.
_STALLED_AFTER_S = 10.0
# A call to the brokers that takes longer counts as hung, and the watchdog ends the process.
_BROKER_CALL_S = 30.0


class Halted(Exception):
    """Too many messages failed or were invalid; an operator must resume consumption."""


class Worker:
    """Answers the messages of the input topic until it is asked to stop.

    Args:
        settings: the settings.
        user_model: the user model.
        identity: the identity of this worker.
        status: reports the state to the supervisor.
        signals: report whether SIGTERM or Ctrl-C asked the worker to stop.
        parent: process id of the supervisor; the worker stops when that process has ended.
    """

    def __init__(
        self,
        settings: Settings,
        user_model: UserModel,
        identity: WorkerIdentity,
        status: StatusPipe,
        signals: StopSignals,
        parent: Optional[int] = None,
    ) -> None:
        self._settings = settings
        self._user_model = user_model
        self._identity = identity
        self._status = status
        self._parent = parent
        self._stop_asked = False
        self._progress = 0
        self._backoff_s = 0.0
        self._measure_at = 0.0
        self._without_partitions_since: Optional[float] = None
        self._uncommitted_since: Optional[float] = None
        metrics.begin(identity.name)
        self._in_flight = InFlight(
            state_folder(settings), identity.transactional_id, settings.group_id
        )
        self._breaker = Breaker.of(settings)
        self._watchdog = Watchdog()
        self._retries = Retries(settings.retry_message_s)
        self._signals = signals
        self._batcher = Batcher(
            settings,
            user_model,
            self._in_flight,
            self._watchdog,
            identity.name,
            self._is_stopping,
            keep_signals=signals.install,
            on_switch=self._on_switch,
        )

    def stop(self) -> None:
        """Asks the worker to stop after the current transaction."""
        self._stop_asked = True

    def serve(self) -> None:
        """Runs the user model until `run` has ended, in the thread that created the user model."""
        self._batcher.serve()

    def run(self) -> None:
        """Answers messages until the worker is asked to stop.

        A missing access right does not end this method; the worker waits until the right is given.

        Raises:
            Halted: too many messages failed or were invalid.
            GapFound: a partition has a gap, and `KAFKA_ON_GAP` is `stop`.
            KafkaException: the group or the topic can't be used.
        """
        try:
            while not self._stopping:
                try:
                    self._work()
                except (RightMissing, NotJoined) as error:
                    self._stalled(str(error))
                    self._back_off()
        finally:
            self._batcher.close()

    def _work(self) -> None:
        """Joins the group, and answers messages until the worker is asked to stop."""
        output = self._make_output()
        if output is None:
            return
        self._output = output
        self._consumer = WorkerConsumer(self._settings, self._batcher, self._events())
        if self._status.last.state != STALLED:
            self._report(JOINING)
        try:
            self._consumer.subscribe()
            self._without_partitions_since = time.monotonic()
            while not self._stopping:
                self._turn()
        except (KafkaException, RightMissing, NotJoined, GapFound, Halted) as error:
            # The records in flight did not cause this error.
            self._batcher.settle()
            if not (self._stopping and isinstance(error, KafkaException)):
                raise
        finally:
            self._guard_broker_call()
            self._output.close()
            self._consumer.close()
            self._watchdog.release_io()
        self._batcher.settle()
        self._in_flight.close()

    def _make_output(self) -> Optional[Output]:
        """Returns the output once it is started; None if the worker is asked to stop before."""
        output = None
        while not self._stopping:
            try:
                output = output or Output(
                    self._settings,
                    self._identity.name,
                    self._identity.transactional_id,
                    self._commit_offsets,
                    self._guard_broker_call,
                )
                output.start()
                return output
            except (TopicMissing, RightMissing, NotCommitted) as error:
                self._stalled(str(error))
            except KafkaException as error:
                self._stalled(
                    f"no broker answers at {self._settings.broker}: {client_error_text(error)}"
                )
            finally:
                self._watchdog.release_io()
            self._back_off()
        return None

    def _commit_offsets(self, offsets: Sequence[TopicPartition]) -> None:
        """Commits offsets without a transaction, for at-least-once processing."""
        self._consumer.commit(offsets)

    def _guard_broker_call(self) -> None:
        self._watchdog.guard_io(_BROKER_CALL_S)

    def _turn(self) -> None:
        """Polls records, answers the records of one transaction, and commits it."""
        consumer = self._consumer
        if self._parent is not None and os.getppid() != self._parent:
            log.warning("%s stops: its supervisor has ended", self._identity.name)
            self.stop()
        since = self._without_partitions_since
        if since is not None and _is_long_ago(since):
            self._stalled(consumer.why_without_partitions(time.monotonic() - since))
        self._measure_consumer()
        room = self._batcher.room()
        if room:
            consumer.poll(room, 0.0 if len(self._batcher) else _IDLE_WAIT_S)
        else:
            consumer.keep_membership()
        if not len(self._batcher):
            return
        if self._retries.is_waiting:
            time.sleep(_RETRY_CHECK_S)
            return
        group_metadata = consumer.group_metadata()
        try:
            batches = self._batcher.answer()
        except Retriable as error:
            self._put_off(error)
            return
        if batches:
            self._commit(batches, group_metadata)

    def _measure_consumer(self) -> None:
        now = time.monotonic()
        if now >= self._measure_at:
            self._measure_at = now + _MEASURE_EVERY_S
            metrics.LAG.labels(self._identity.name).set(self._consumer.lag())
            metrics.PASSED.labels(self._identity.name).inc(self._consumer.take_skipped())

    def _put_off(self, error: Retriable) -> None:
        """Delays the next try of the first batch, and may give up its first message."""
        metrics.RETRIES.labels(self._identity.name).inc()
        record = self._batcher.next_record
        single = self._batcher.failed_single
        delay_s = self._retries.failed(record, error, single=single)
        log.info("%s tries again in %.1f s: %s", self._identity.name, delay_s, error)
        self._stalled(f"the model reported a temporary error: {error}")
        if self._retries.wants_probe:
            self._retries.probed(answered=self._batcher.probe())
        if self._retries.is_exhausted:
            self._batcher.give_up(
                record,
                "this message alone kept failing with temporary errors for "
                f"{self._settings.retry_message_s:g} s: {error}",
            )

    def _commit(self, batches: List[Batch], group_metadata: object) -> None:
        """Commits the outcomes of batches, and the offsets after them.

        Raises:
            Halted: too many messages failed or were invalid.
        """
        outcomes = [outcome for batch in batches for outcome in batch.outcomes]
        outcomes, messages = self._output.compose(outcomes)
        breaker, why = self._breaker.with_outcomes(outcomes)
        if why is not None:
            raise Halted(why)
        positions = self._positions_after(outcomes, breaker.metadata)
        offsets = self._consumer.offsets_of(positions, breaker.metadata)
        self._uncommitted_since = self._uncommitted_since or time.monotonic()
        started = time.perf_counter()
        try:
            self._output.commit(messages, offsets, group_metadata, self._work_ahead)
        except NotCommitted as error:
            if error.unknown:
                # Failures that are counted twice stop consumption early. Failures that are not
                # counted never stop it.
                self._breaker = breaker
            self._not_committed(error)
            return
        finally:
            self._watchdog.release_io()
        seconds = time.perf_counter() - started
        metrics.STAGE_SECONDS.labels(self._identity.name, "publish").observe(seconds)
        self._breaker = breaker
        self._consumer.committed(positions, breaker.metadata)
        self._batcher.committed(batches, positions)
        self._retries.committed(positions)
        metrics.count_committed(self._identity.name, outcomes)
        self._report_progress()

    def _positions_after(self, outcomes: List[Outcome], metadata: str) -> Dict[int, int]:
        """Returns the offsets to commit with these outcomes, by partition."""
        answered = {outcome.record.partition: outcome.record.offset + 1 for outcome in outcomes}
        return {
            # Every partition gets the metadata: one without traffic would keep an old count.
            **self._consumer.with_other_metadata(metadata),
            **answered,
            **self._consumer.ends_to_commit(answered),
        }

    def _work_ahead(self) -> bool:
        """Submits a batch while the producer waits for brokers; returns whether there was one."""
        if self._backoff_s:
            # The last transaction failed, and further work would keep this one open for longer.
            return False
        return self._batcher.submit_one_more()

    def _report_progress(self) -> None:
        self._backoff_s = 0.0
        self._uncommitted_since = None
        self._progress += 1
        last = self._status.last
        if self._progress == 1 or (last.state, last.batching) != (READY, self._batching()):
            self._report(READY)

    def _batching(self) -> str:
        return self._user_model.why_single or STACKED

    def _not_committed(self, error: NotCommitted) -> None:
        metrics.ABORTS.labels(self._identity.name).inc()
        log.info("%s repeats the batch: %s", self._identity.name, error)
        refusal = error.refusal
        if refusal is not None:
            if self._output.apply(refusal):
                self._batcher.refuse(refusal.source, refusal.why)
        elif self._backoff_s > 1 and not error.unknown:
            self._output.look_up_again()
        if self._backoff_s > 1 or _is_long_ago(self._uncommitted_since):
            self._stalled(f"replies can't be committed: {error}")
        self._batcher.not_committed()
        self._back_off()
        if error.unknown:
            self._settle()
        self._consumer.rewind()

    def _settle(self) -> None:
        """Finds out whether a commit succeeded, before its records are answered again."""
        while not self._stopping:
            try:
                # A new producer ends the open transaction; then the committed offsets are certain.
                self._output.start()
                self._consumer.reload_positions()
                return
            except NotCommitted as error:
                self._stalled(str(error))
            except KafkaException as error:
                self._stalled(f"the group's offsets can't be read: {client_error_text(error)}")
            finally:
                self._watchdog.release_io()
            self._back_off()

    def _on_assigned(self, positions: Dict[int, int], metadata: Dict[int, str]) -> None:
        partitions = sorted(positions)
        for each in metadata.values():
            self._breaker = self._breaker.inheriting(each)
        self._in_flight.adopt(positions, self._settings.input_topic)
        self._without_partitions_since = None
        metrics.PARTITIONS.labels(self._identity.name).set(len(partitions))
        log.info("%s reads partitions %s", self._identity.name, partitions)
        self._report(READY, partitions=tuple(partitions))

    def _events(self) -> Events:
        return Events(
            self._on_assigned, self._on_revoked, self._on_gap, self._stalled, self._is_stopping
        )

    @property
    def _stopping(self) -> bool:
        return self._stop_asked or self._signals.requested()

    def _is_stopping(self) -> bool:
        return self._stopping

    def _on_switch(self, why: str) -> None:
        """Logs and counts a wrong row-wise declaration; called in the main thread."""
        metrics.SWITCHES.labels(self._identity.name).inc()
        log.warning(
            "%s calls the class message by message from now on, although it declares that it is "
            "row-wise: %s",
            self._identity.name,
            why,
        )

    def _on_revoked(self) -> None:
        metrics.PARTITIONS.labels(self._identity.name).set(0)
        metrics.LAG.labels(self._identity.name).set(0)
        self._without_partitions_since = time.monotonic()
        self._report(self._status.last.state, self._status.last.detail, partitions=())

    def _on_gap(self, gap: Gap) -> None:
        metrics.GAPS.labels(self._identity.name).inc(max(0, gap.first - gap.committed))
        log.error("%s", gap)

    def _stalled(self, detail: str) -> None:
        if self._status.last.detail != detail:
            log.warning("%s waits: %s", self._identity.name, detail)
        self._report(STALLED, detail)

    def _report(self, state: str, detail: str = "", partitions: Any = None) -> None:
        last = self._status.last
        self._status.report(
            last._replace(
                batching=self._batching(),
                state=state,
                detail=detail,
                partitions=last.partitions if partitions is None else partitions,
                progress=self._progress,
            )
        )

    def _back_off(self) -> None:
        """Waits, longer after each failure; the wait ends when the worker is asked to stop."""
        self._backoff_s = min(_BACKOFF_MOST_S, max(_BACKOFF_FIRST_S, self._backoff_s * 2))
        wake_at = time.monotonic() + self._backoff_s
        while not self._stopping and time.monotonic() < wake_at:
            time.sleep(min(_IDLE_WAIT_S, max(0.0, wake_at - time.monotonic())))


def _is_long_ago(since: Optional[float]) -> bool:
    return since is not None and time.monotonic() - since > _STALLED_AFTER_S
