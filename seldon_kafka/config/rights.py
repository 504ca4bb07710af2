"""The access rights of each role, for brokers with access control lists.

`seldon-kafka acls worker User:model` prints the commands that grant the rights of a worker. The
README's table, the users of the local cluster and the tests use the same lists. No list has
Describe beside Read, Write, Alter or Delete, because these operations include Describe in Kafka.
"""

from __future__ import annotations

from typing import Callable, Dict, NamedTuple, Sequence, Tuple

from seldon_kafka.config.settings import Settings

TOPIC, GROUP, TRANSACTIONAL_ID = "Topic", "Group", "TransactionalId"
READ, WRITE, CREATE, DESCRIBE = "Read", "Write", "Create", "Describe"
ALTER, DELETE, DESCRIBE_CONFIGS = "Alter", "Delete", "DescribeConfigs"

LOG_READER_GROUP = "request-log"
"""Default consumer group of `seldon-kafka request-log`."""


class Right(NamedTuple):
    """One entry of an access control list.

    Attributes:
        resource: type of the resource: `Topic`, `Group` or `TransactionalId`.
        name: name of the resource, or a prefix of the names of several resources.
        operation: Kafka's name of the allowed operation.
        purpose: reason why the role needs the right.
        prefixed: whether `name` is a prefix.
    """

    resource: str
    name: str
    operation: str
    purpose: str
    prefixed: bool = False

    def __str__(self) -> str:
        beginning = "prefix " if self.prefixed else ""
        return f"{self.operation} on {self.resource} {beginning}{self.name}"


class RightMissing(Exception):
    """The brokers deny an operation that a role needs.

    Args:
        rights: the missing rights.
        role: the role that needs them, a key of `ROLES`.
    """

    def __init__(self, rights: Sequence[Right], role: str = "worker") -> None:
        named = ", ".join(str(right) for right in rights)
        super().__init__(
            f"not allowed: {named}; grant it to this user "
            f"(`seldon-kafka acls {role} User:NAME` prints how)"
        )


def worker_rights(settings: Settings) -> Tuple[Right, ...]:
    """Returns the rights of the workers of one group."""
    return (
        Right(TOPIC, settings.input_topic, READ, "requests"),
        Right(GROUP, settings.group_id, READ, "sharing partitions, committing offsets"),
        Right(TOPIC, settings.output_topic, WRITE, "replies"),
        Right(TOPIC, settings.output_topic, DESCRIBE_CONFIGS, "the size limit of replies"),
        Right(TOPIC, settings.dead_letter_topic, WRITE, "dead letters"),
        Right(
            TOPIC, settings.dead_letter_topic, DESCRIBE_CONFIGS, "the size limit of dead letters"
        ),
        *request_log_rights(settings),
        Right(TRANSACTIONAL_ID, settings.group_id + ".", WRITE, "exactly once", prefixed=True),
    )


def request_log_rights(settings: Settings) -> Tuple[Right, ...]:
    """Returns the rights to write the request log; none if the request log is off.

    Workers need them, and so does Seldon's server in the same replica.
    """
    if not settings.log_requests:
        return ()
    return (
        Right(TOPIC, settings.log_topic, WRITE, "the request log, if it is on"),
        Right(TOPIC, settings.log_topic, DESCRIBE_CONFIGS, "the size limit of entries"),
    )


def log_reader_rights(settings: Settings) -> Tuple[Right, ...]:
    """Returns the rights of `seldon-kafka request-log`."""
    return (
        Right(TOPIC, settings.log_topic, READ, "requests and their replies"),
        Right(TOPIC, settings.feedback_topic, READ, "with `--feedback`"),
        Right(GROUP, LOG_READER_GROUP, READ, "sharing partitions, committing offsets"),
    )


def producer_rights(settings: Settings) -> Tuple[Right, ...]:
    """Returns the rights of a producer of requests."""
    return (Right(TOPIC, settings.input_topic, WRITE, "requests"),)


def consumer_rights(settings: Settings) -> Tuple[Right, ...]:
    """Returns the rights of `python -m consumer`; `--group ID` needs Read on that Group too."""
    return (
        Right(TOPIC, settings.output_topic, READ, "replies"),
        Right(TOPIC, settings.dead_letter_topic, READ, "dead letters"),
        Right(TOPIC, settings.input_topic, READ, "pictures, and the number of messages"),
    )


def dead_letter_rights(settings: Settings) -> Tuple[Right, ...]:
    """Returns the rights to read, replay and purge dead letters."""
    return (
        Right(TOPIC, settings.dead_letter_topic, READ, "listing and showing"),
        Right(TOPIC, settings.dead_letter_topic, WRITE, "marking replayed letters"),
        Right(TOPIC, settings.input_topic, WRITE, "replaying"),
        Right(
            TRANSACTIONAL_ID,
            settings.dead_letter_topic + ".replay",
            WRITE,
            "replaying exactly once",
        ),
        Right(TOPIC, settings.input_topic, DESCRIBE_CONFIGS, "the size limit of messages"),
        Right(TOPIC, settings.dead_letter_topic, DESCRIBE_CONFIGS, "the size limit of messages"),
        Right(TOPIC, settings.dead_letter_topic, DELETE, "purging them"),
    )


def feedback_rights(settings: Settings) -> Tuple[Right, ...]:
    """Returns the rights to write feedback.

    Seldon's server needs them if the class writes the feedback that it gets. Workers never do.
    """
    return (Right(TOPIC, settings.feedback_topic, WRITE, "feedback"),)


def corrections_rights(settings: Settings) -> Tuple[Right, ...]:
    """Returns the rights of `python -m consumer.feedback`."""
    return (
        Right(TOPIC, settings.feedback_topic, READ, "feedback"),
        Right(TOPIC, settings.input_topic, READ, "pictures that are not in the feedback"),
    )


def topics_rights(settings: Settings) -> Tuple[Right, ...]:
    """Returns the rights of `seldon-kafka topics`."""
    purposes = (
        (CREATE, "`create`"),
        (DESCRIBE_CONFIGS, "`create`"),
        (ALTER, "`add-partitions`"),
    )
    every = [Right(TOPIC, name, *purpose) for purpose in purposes for name in settings.topics]
    return (*every, Right(GROUP, settings.group_id, DESCRIBE, "`show`: the lag"))


def dashboard_rights(settings: Settings) -> Tuple[Right, ...]:
    """Returns the rights of `python -m consumer.dashboard`, without duplicates."""
    parts = (
        producer_rights(settings),
        consumer_rights(settings),
        feedback_rights(settings),
        corrections_rights(settings),
        dead_letter_rights(settings),
        (Right(GROUP, settings.group_id, DESCRIBE, "the lag"),),
    )
    found: Dict[Tuple[str, str, str], Right] = {}
    for right in (right for part in parts for right in part):
        found.setdefault((right.resource, right.name, right.operation), right)
    return tuple(found.values())


ROLES: Dict[str, Callable[[Settings], Tuple[Right, ...]]] = {
    "worker": worker_rights,
    "producer": producer_rights,
    "consumer": consumer_rights,
    "dead-letters": dead_letter_rights,
    "feedback": feedback_rights,
    "corrections": corrections_rights,
    "request-log": log_reader_rights,
    "dashboard": dashboard_rights,
    "topics": topics_rights,
}
