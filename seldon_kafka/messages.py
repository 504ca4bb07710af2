"""The values that travel through the pipeline.

They are named tuples rather than frozen dataclasses: several are made for each message, and a
named tuple is made in a fifth of the time.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

from seldon_kafka.seldon_types import known_to_seldon

Headers = Sequence[Tuple[str, Optional[bytes]]]

# Every header of the runtime's own begins with `kafka-`; all others are the sender's.
WORKER = "kafka-worker"
INPUT_TOPIC = "kafka-input-topic"
INPUT_PARTITION = "kafka-input-partition"
INPUT_OFFSET = "kafka-input-offset"
INPUT_TIMESTAMP = "kafka-input-timestamp"
DEAD_REASON = "kafka-dead-reason"
DEAD_MESSAGE = "kafka-dead-message"
DEAD_CUT = "kafka-dead-cut"
DEAD_ATTEMPTS = "kafka-dead-attempts"
DEAD_NO_KEY = "kafka-dead-no-key"
DEAD_STATUS_CODE = "kafka-dead-status-code"
DEAD_ERROR_REASON = "kafka-dead-error-reason"
DEAD_APP_CODE = "kafka-dead-app-code"
DEAD_ERROR = "kafka-dead-error"

# Stands for the headers of a message whose header names are not UTF-8: the client library can't
# hand them over. Such a message is rejected, whatever its value.
UNREADABLE_HEADERS: Headers = (("kafka-unreadable-headers", b"names are not UTF-8"),)

# The same for a message of which the client library can hand nothing over, because its batch can't
# be decompressed, or not within `receive.message.max.bytes` (100 MB).
UNREADABLE_BATCH: Headers = (("kafka-unreadable-batch", b"it can't be decompressed"),)


class Record(NamedTuple):
    """A message as it was consumed.

    Attributes:
        topic: where it was read from.
        partition: partition of that topic.
        offset: position in that partition.
        timestamp_ms: milliseconds since 1970, or -1 where it has none.
        key: bytes or None.
        value: bytes, or None for a tombstone.
        headers: (name, value) pairs in the sender's order; names may repeat.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: Optional[bytes]
    value: Optional[bytes]
    headers: Headers


class Payload(NamedTuple):
    """What a wire format found in a message.

    Attributes:
        kind: name of the Seldon field that carries such data: `ndarray`, `tensor`, `tftensor`,
            `binData`, `strData`, `jsonData` or `customData`; `raw` where only `request` is read.
        data: `np.ndarray` for the first three, then bytes, str, anything JSON has, `Any`.
        names: feature names that the sender gave: texts in a tuple, or what else stood there.
        meta: the sender's `meta` as a dict (`puid`, `tags`, …).
        request: the parsed message for classes that take it raw: JSON or a `SeldonMessage`.
        dtype: of the array that a class gets, where `data` holds it in fewer bytes meanwhile
            (uint8, of whole numbers from 0 to 255).
    """

    kind: str
    data: Any
    names: Any
    meta: Dict[str, Any]
    request: Any
    dtype: Any = None


class Response:
    """An answer of a user model with tags and metrics.

    Args:
        data: the answer: an array, a list, bytes, a text or an object.
        tags: `meta.tags` of the reply.
        metrics: Seldon metrics: objects with `key`, `type` (`COUNTER`, `GAUGE` or `TIMER`) and
            `value`.
    """

    def __new__(cls, *_: Any, **__: Any) -> Response:
        """Makes one that Seldon's server knows too, where it is the one that serves."""
        kind = known_to_seldon(cls, "seldon_core.user_model", "SeldonResponse")
        made: Response = object.__new__(kind)
        return made

    def __init__(
        self,
        data: Any,
        tags: Optional[Dict[str, Any]] = None,
        metrics: Optional[List[Dict[str, Any]]] = None,
    ) -> None:
        self.data = data
        self.tags = {} if tags is None else tags
        self.metrics = [] if metrics is None else metrics


class Prediction(NamedTuple):
    """What the class answered for one message.

    Attributes:
        data: rows (`np.ndarray` or list), or bytes, str or dict; or a whole reply, if `raw`.
        names: class names, one for each column, for two-dimensional rows.
        tags: tags of the class, lists in `row_tags` having one entry for each row.
        row_tags: names of those tags.
        metrics: Seldon metrics of the class, for the reply.
        raw: `data` is the reply that the class composed itself (`predict_raw`).
        reported: Seldon metrics of the class, to be counted when the answer is committed.
        request_path: Seldon's `meta.requestPath`: the graph's node and its image.
    """

    data: Any
    names: Any
    tags: Dict[str, Any]
    row_tags: Tuple[str, ...]
    metrics: List[Dict[str, Any]]
    raw: bool = False
    reported: Sequence[Dict[str, Any]] = ()
    request_path: Mapping[str, str] = MappingProxyType({})


class Reply(NamedTuple):
    """An answered record.

    Attributes:
        record: the record.
        value: the reply's value.
        headers: those that describe it.
        sent_puid: the `meta.puid` that the sender gave; empty if there was none.
        metrics: Seldon metrics that the class reported, to be counted at the commit.
    """

    record: Record
    value: bytes
    headers: Headers
    sent_puid: str = ""
    metrics: Sequence[Dict[str, Any]] = ()


class Rejection(NamedTuple):
    """A record that can't be answered.

    Attributes:
        record: the record.
        reason: a stable word, one of `seldon_kafka.errors.REASONS` or the class's own.
        message: what is wrong, for the sender.
        failed: the class failed, as opposed to the sender having sent something wrong.
        sent_puid: as in `Reply`; None where the record could not be read so far.
        headers: what the class's exception says of itself, as headers of the dead letter.
    """

    record: Record
    reason: str
    message: str
    failed: bool = False
    sent_puid: Optional[str] = None
    headers: Headers = ()


Outcome = Union[Reply, Rejection]


def value_bytes(records: Iterable[Record]) -> int:
    """Bytes of the values of these records together."""
    return sum([len(record.value or b"") for record in records])


def header(headers: Headers, name: str) -> Optional[bytes]:
    """The value of the last header called `name` (in any case), or None."""
    wanted = name.lower()
    for found, value in reversed(headers):
        if found.lower() == wanted:
            return value
    return None
