"""Sends letters back to the topic that they came from, each exactly once.

Copies and the markers that say so commit together, some hundred letters at a time. All replays of
one dead-letter topic have the same transactional id: one that starts ends what an interrupted one
left open, and fences one that still runs; only then are the markers read.
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
from seldon_kafka.dead_letters.letters import REPLAYED, Envelope, Letter, Place, replay_headers
from seldon_kafka.dead_letters.mailbox import MailboxError
from seldon_kafka.transport.deliveries import NotCommitted
from seldon_kafka.transport.output_messages import OutputMessage, TopicLimits, size_of
from seldon_kafka.transport.topic_limits import TopicMissing, look_up
from seldon_kafka.transport.transactions import TransactionalProducer, text_of

ATTEMPTS = 3
"""How often a message is replayed, unless told otherwise."""

_CHUNK_LETTERS = 500
_CHUNK_BYTES = 8 * 1024 * 1024
_BATCH_BYTES = 1024 * 1024
_BY_KEY = -1
_ROLE = "dead-letters"
# These letters are not what was sent.
_INCOMPLETE = {
    "unreadable": "its message could not be read, none of it is left",
    "bad_headers": "its headers could not be read, they are lost",
}
_FENCED = (
    KafkaError._FENCED,
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.PRODUCER_FENCED,
)


class Chosen(NamedTuple):
    """What is to be replayed, and what is not.

    Attributes:
        letters: to be replayed.
        done: how many were replayed before.
        left_out: the others, and why each can't be.
    """

    letters: List[Envelope]
    done: int
    left_out: List[Tuple[Envelope, str]]


def choose(index: Index, attempts: int, again: bool) -> Chosen:
    """Which of the selected letters to replay.

    Args:
        index: the letters.
        attempts: how often a message may be replayed.
        again: also what was replayed before.
    """
    letters, done, left_out = [], 0, []
    for letter in index.letters:
        tried = index.attempts(letter)
        if index.is_replayed(letter) and not again:
            done += 1
        elif letter.cut_from is not None:
            left_out.append((letter, "it was cut, its end is lost"))
        elif letter.reason in _INCOMPLETE:
            left_out.append((letter, _INCOMPLETE[letter.reason]))
        elif tried >= attempts:
            left_out.append((letter, f"it was replayed {tried} times (--attempts allows more)"))
        else:
            letters.append(letter)
    return Chosen(letters, done, left_out)


def chunks(letters: Iterable[Letter]) -> Iterator[List[Letter]]:
    """Cuts letters into what one transaction carries in far less than its time-out."""
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
    """One replay. Making it ends any other of the same dead-letter topic.

    Args:
        settings: topics and brokers.

    Attributes:
        sent: how many letters were sent so far.

    Raises:
        MailboxError: a topic is not there, or the brokers don't answer.
    """

    def __init__(self, settings: Settings) -> None:
        self.sent = 0
        self._settings = settings
        self._limits: Dict[str, TopicLimits] = {}
        try:
            mine, theirs = map(self._limits_of, (settings.dead_letter_topic, settings.input_topic))
        except TopicMissing as error:
            raise MailboxError(str(error)) from error
        most = min(_BATCH_BYTES, mine.max_bytes, theirs.max_bytes)
        self._producer = TransactionalProducer(
            settings,
            f"{settings.dead_letter_topic}.replay",
            most,
            lambda: None,
            # Another replay may have sent meanwhile what this one has in its index.
            renews=False,
        )
        try:
            self._producer.start()
        except NotCommitted as error:
            raise MailboxError(f"nothing was replayed: {error}") from error
        except RightMissing as error:
            rights = [r for r in ROLES[_ROLE](settings) if r.resource == TRANSACTIONAL_ID]
            raise MailboxError(str(RightMissing(rights, _ROLE))) from error

    def send(self, letters: List[Letter], replays: Dict[Place, int]) -> List[Tuple[Envelope, str]]:
        """Sends letters in one transaction; Ctrl-C has to wait for the end of it.

        Args:
            letters: at most a chunk.
            replays: how often each was replayed before.

        Returns:
            Those that were left out, and why each.

        Raises:
            MailboxError: none was sent, or it is not known whether; the message says which.
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
                self._commit_outcomes(messages)
            self.sent += len(letters) - len(left_out)
        return left_out

    def close(self) -> None:
        """Lets go of the brokers."""
        self._producer.close()

    def _marker(self, letter: Letter, now_ms: int) -> OutputMessage:
        headers = [(REPLAYED, letter.place.encode("ascii"))]
        topic = self._settings.dead_letter_topic
        key = None
        if self._limits_of(topic).is_compacted:
            # One of its own, so that compaction takes no marker away.
            key = f"replayed/{letter.place}/{now_ms}".encode("ascii")
        return OutputMessage(
            topic, letter.at.partition, now_ms, key, None, [*headers], letter.record
        )

    def _commit_outcomes(self, messages: List[OutputMessage]) -> None:
        try:
            self._producer.commit(messages, {}, None)
        except NotCommitted as error:
            raise MailboxError(what_happened(error)) from error

    def _limits_of(self, topic: str) -> TopicLimits:
        if topic not in self._limits:
            try:
                self._limits.update(look_up(self._settings, [topic], _ROLE))
            except RightMissing as error:
                raise MailboxError(str(error)) from error
            except KafkaException as error:
                raise MailboxError(f"no broker answers: {text_of(error)}") from error
        return self._limits[topic]


def _copy(letter: Letter, partitions: int, attempts: int, now_ms: int) -> OutputMessage:
    original = letter.original()
    return OutputMessage(
        original.topic,
        # The one that it came from, whatever its sender chose it by.
        original.partition if 0 <= original.partition < partitions else _BY_KEY,
        # Its own may be so long ago that retention would delete it before it is read.
        now_ms,
        original.key,
        original.value,
        [*original.headers, *replay_headers(attempts, original.timestamp_ms)],
        letter.record,
    )


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Lets Ctrl-C wait: readers of the input would wait for a transaction that is left open."""
    pressed: List[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt


def what_happened(error: NotCommitted) -> str:
    """Why a transaction failed, whether its letters were sent, and what to do."""
    cause = error.__cause__
    if isinstance(cause, KafkaException) and cause.args[0].code() in _FENCED:
        return (
            "another replay of this topic has taken over, or the brokers gave this one up; "
            "run it again for what is left, nothing is sent twice"
        )
    if error.unknown:
        return (
            f"it is not known whether the last letters were sent: {error}; "
            "run it again for what is left, nothing is sent twice"
        )
    if error.refusal is not None:
        place = Place(*error.refusal.source)
        return f"the brokers refuse the letter at {place}: {error}; nothing of its chunk was sent"
    return f"the last letters were not sent: {error}; run it again for what is left"
