"""Sends dead letters back to their input topic, each exactly once.

One transaction sends copies of up to 500 dead letters, and a marker for each copy. All replays of
one dead-letter topic have the same transactional id. So a new replay aborts the open transaction of
an interrupted replay, and fences a running replay. After that, the new replay reads the markers.
"""

from __future__ import annotations

import contextlib
import signal
import time
from typing import Dict, Iterable, Iterator, List, NamedTuple, Tuple

from confluent_kafka import KafkaError, KafkaException

from seldon_kafka.config.rights import ROLES, TRANSACTIONAL_ID, RightMissing
from seldon_kafka.config.settings import Settings
from seldon_kafka.dead_letters.index import Index
from seldon_kafka.dead_letters.letters import (
    REPLAYED,
    Envelope,
    Letter,
    RecordPosition,
    replay_headers,
)
from seldon_kafka.dead_letters.mailbox import MailboxError
from seldon_kafka.transport.deliveries import NotCommitted
from seldon_kafka.transport.output_messages import OutputMessage, TopicLimits, size_of
from seldon_kafka.transport.producers import TransactionalProducer, client_error_text
from seldon_kafka.transport.topic_limits import TopicMissing, look_up

ATTEMPTS = 3
"""Default limit of the number of replays of one message."""

_CHUNK_LETTERS = 500
_CHUNK_BYTES = 8 * 1024 * 1024
_BATCH_BYTES = 1024 * 1024
_BY_KEY = -1
_ROLE = "dead-letters"
# Dead letters of these reasons lack parts of the original message.
_INCOMPLETE = {
    "unreadable": "its message could not be read",
    "bad_headers": "its headers could not be read",
}
_FENCED = (
    KafkaError._FENCED,
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.PRODUCER_FENCED,
)


class Chosen(NamedTuple):
    """The selected dead letters, split into those to replay and the others.

    Attributes:
        letters: the dead letters to replay.
        done: number of dead letters that are skipped because they were replayed before.
        left_out: dead letters that can't be replayed, each with the reason.
    """

    letters: List[Envelope]
    done: int
    left_out: List[Tuple[Envelope, str]]


def choose(index: Index, attempts: int, again: bool) -> Chosen:
    """Decides which of the selected dead letters to replay.

    Args:
        index: the dead letters.
        attempts: limit of the number of replays of one message.
        again: whether to include dead letters that were replayed before.
    """
    letters, done, left_out = [], 0, []
    for letter in index.letters:
        tried = index.attempts(letter)
        if index.is_replayed(letter) and not again:
            done += 1
        elif letter.cut_from is not None:
            left_out.append((letter, "its value was cut"))
        elif letter.reason in _INCOMPLETE:
            left_out.append((letter, _INCOMPLETE[letter.reason]))
        elif tried >= attempts:
            left_out.append((letter, f"it was replayed {tried} times (--attempts allows more)"))
        else:
            letters.append(letter)
    return Chosen(letters, done, left_out)


def chunks(letters: Iterable[Letter]) -> Iterator[List[Letter]]:
    """Splits dead letters into chunks that one transaction can send before it times out.

    A chunk has at most 500 dead letters and 8 MiB, or one larger dead letter.
    """
    chunk: List[Letter] = []
    size = 0
    for letter in letters:
        if chunk and (len(chunk) >= _CHUNK_LETTERS or size + letter.size > _CHUNK_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(letter)
        size += letter.size
    if chunk:
        yield chunk


class Replay:
    """Sends dead letters; the constructor ends any other replay of the same dead-letter topic.

    Args:
        settings: topics, brokers and limits.

    Attributes:
        sent: number of dead letters that were sent so far.

    Raises:
        MailboxError: a topic does not exist, a right is missing, or the brokers don't answer.
    """

    def __init__(self, settings: Settings) -> None:
        self.sent = 0
        self._settings = settings
        self._limits: Dict[str, TopicLimits] = {}
        try:
            dead_letter_limits = self._limits_of(settings.dead_letter_topic)
            input_limits = self._limits_of(settings.input_topic)
        except TopicMissing as error:
            raise MailboxError(str(error)) from error
        batch_bytes = min(_BATCH_BYTES, dead_letter_limits.max_bytes, input_limits.max_bytes)
        self._producer = TransactionalProducer(
            settings,
            f"{settings.dead_letter_topic}.replay",
            batch_bytes,
            lambda: None,
            # A fenced replay must end, because the other replay may send the same dead letters.
            renews=False,
        )
        try:
            self._producer.start()
        except NotCommitted as error:
            raise MailboxError(f"nothing was replayed: {error}") from error
        except RightMissing as error:
            rights = [r for r in ROLES[_ROLE](settings) if r.resource == TRANSACTIONAL_ID]
            raise MailboxError(str(RightMissing(rights, _ROLE))) from error

    def send(
        self, letters: List[Letter], replays: Dict[RecordPosition, int]
    ) -> List[Tuple[Envelope, str]]:
        """Sends dead letters in one transaction; Ctrl-C takes effect after the transaction.

        Args:
            letters: dead letters of one chunk.
            replays: number of earlier replays of dead letters, by their position in the
                dead-letter topic; a dead letter without an entry was not replayed.

        Returns:
            The dead letters that were left out, each with the reason.

        Raises:
            MailboxError: no dead letter was sent, or the outcome is unknown; the message says
                which.
        """
        now_ms = int(time.time() * 1000)
        messages: List[OutputMessage] = []
        left_out: List[Tuple[Envelope, str]] = []
        for letter in letters:
            try:
                limits = self._limits_of(letter.source[0])
            except TopicMissing as error:
                left_out.append((letter, str(error)))
                continue
            attempts = letter.attempts + replays.get(letter.at, 0) + 1
            copy = _copy(letter, limits.partitions, attempts, now_ms)
            if size_of(copy) > limits.max_bytes:
                why = f"it takes {size_of(copy)} bytes, and {copy.topic} takes {limits.max_bytes}"
                left_out.append((letter, why))
            else:
                messages += [copy, self._marker(letter, now_ms)]
        with _uninterrupted():
            if messages:
                self._commit(messages)
            self.sent += len(letters) - len(left_out)
        return left_out

    def close(self) -> None:
        """Closes the producer."""
        self._producer.close()

    def _marker(self, letter: Letter, now_ms: int) -> OutputMessage:
        headers = [(REPLAYED, letter.position.encode("ascii"))]
        topic = self._settings.dead_letter_topic
        key = None
        if self._limits_of(topic).is_compacted:
            # Each marker has a unique key, so that compaction keeps it.
            key = f"replayed/{letter.position}/{now_ms}".encode("ascii")
        return OutputMessage(
            topic, letter.at.partition, now_ms, key, None, [*headers], letter.record
        )

    def _commit(self, messages: List[OutputMessage]) -> None:
        try:
            self._producer.commit(messages, (), None)
        except NotCommitted as error:
            raise MailboxError(describe_failure(error)) from error

    def _limits_of(self, topic: str) -> TopicLimits:
        if topic not in self._limits:
            try:
                self._limits.update(look_up(self._settings, [topic], _ROLE))
            except RightMissing as error:
                raise MailboxError(str(error)) from error
            except KafkaException as error:
                raise MailboxError(f"no broker answers: {client_error_text(error)}") from error
        return self._limits[topic]


def _copy(letter: Letter, partitions: int, attempts: int, now_ms: int) -> OutputMessage:
    original = letter.original()
    return OutputMessage(
        original.topic,
        # The original partition, in whatever way the sender chose it.
        original.partition if 0 <= original.partition < partitions else _BY_KEY,
        # With the original timestamp, retention could delete the message before it is read.
        now_ms,
        original.key,
        original.value,
        [*original.headers, *replay_headers(attempts, original.timestamp_ms)],
        letter.record,
    )


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Delays Ctrl-C, because an open transaction would block consumers of the input topic."""
    pressed: List[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt


def describe_failure(error: NotCommitted) -> str:
    """Describes why a transaction failed, whether dead letters were sent, and what to do."""
    cause = error.__cause__
    if isinstance(cause, KafkaException) and cause.args[0].code() in _FENCED:
        return (
            "another replay of this topic has started, or the brokers fenced this one; "
            "run it again for the remaining letters; nothing is sent twice"
        )
    if error.unknown:
        return (
            f"it is not known whether the last letters were sent: {error}; "
            "run it again for the remaining letters; nothing is sent twice"
        )
    if error.refusal is not None:
        position = RecordPosition(*error.refusal.source)
        return (
            f"the brokers refuse the letter at {position}: {error}; nothing of its chunk was sent"
        )
    return f"the last letters were not sent: {error}; run it again for the remaining letters"
