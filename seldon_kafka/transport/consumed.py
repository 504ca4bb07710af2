"""Converts messages of the client library to records."""

from __future__ import annotations

from typing import Tuple, cast

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, KafkaError, KafkaException, Message

from seldon_kafka.messages import UNREADABLE_HEADERS, Headers, Record


def record_of(message: Message) -> Record:
    """Returns the record of a consumed `confluent_kafka.Message` without an error."""
    kind, timestamp_ms = message.timestamp()
    # The stubs allow None for topic, partition and offset, which only a message with an error has.
    return Record(
        message.topic(),  # type: ignore[arg-type]
        message.partition(),  # type: ignore[arg-type]
        message.offset(),  # type: ignore[arg-type]
        -1 if kind == TIMESTAMP_NOT_AVAILABLE else timestamp_ms,
        message.key(),
        message.value(),
        _headers(message),
    )


def position_of(message: Message) -> Tuple[int, int]:
    """Returns the partition and the offset of a message or of an error; -1 for an unknown one."""
    partition, offset = message.partition(), message.offset()
    return -1 if partition is None else partition, -1 if offset is None else offset


def reached(message: Message) -> int:
    """Returns the offset up to which the message's partition was read.

    Returns:
        The offset after the message, or the end of the partition if the client reports that it is
        reached. -1 for other errors that are not raised.

    Raises:
        KafkaException: the message is an error that is not retriable, other than a missing right to
            the group.
    """
    error = message.error()
    _, offset = position_of(message)
    if error is None:
        return offset + 1
    if error.code() == KafkaError._PARTITION_EOF:
        return offset
    # The client looks for the coordinator of its group although it does not join the group. So a
    # missing right to the group is no error.
    if not error.retriable() and error.code() != KafkaError.GROUP_AUTHORIZATION_FAILED:
        raise KafkaException(error)
    return -1


def _headers(message: Message) -> Headers:
    try:
        # The client library returns a list of pairs.
        return cast(Headers, message.headers() or ())
    except UnicodeDecodeError:
        return UNREADABLE_HEADERS
