"""The values that pass through the pipeline.

They are named tuples and not frozen dataclasses: each message makes several of them, and a named
tuple takes a fifth of the time.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import (
    TYPE_CHECKING,
    Any,
    Dict,
    Iterable,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    Union,
)

from seldon_kafka.seldon_types import known_to_seldon

Json = Any
"""A JSON value, or the array, bytes or object of a user model in its place."""

JsonObject = Dict[str, Any]
"""A JSON object."""

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]
    """An array of any type."""
else:
    # The command line and classes that import `Response` start without numpy.
    Array = Any

DType = Any
"""A `np.dtype`; numpy for Python 3.8 has no generic one."""

Headers = Sequence[Tuple[str, Optional[bytes]]]

# Headers of the runtime begin with `kafka-`; all others are the sender's.
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

# Replaces headers whose names are not UTF-8, which the client library can't return. The message is
# rejected.
UNREADABLE_HEADERS: Headers = (("kafka-unreadable-headers", b"names are not UTF-8"),)

# Marks a message that the client library can't return at all, because its batch can't be
# decompressed, or not within `receive.message.max.bytes` (100 MB).
UNREADABLE_BATCH: Headers = (("kafka-unreadable-batch", b"it can't be decompressed"),)


InputPosition = Tuple[str, int, int]
"""The position of an input record: topic, partition and offset."""


class Record(NamedTuple):
    """A consumed message.

    Attributes:
        topic: its topic.
        partition: its partition.
        offset: its offset.
        timestamp_ms: milliseconds since 1970, or -1 without a timestamp.
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
    """The decoded content of a message.

    Attributes:
        kind: name of the Seldon field for such data: `ndarray`, `tensor`, `tftensor`, `binData`,
            `strData`, `jsonData` or `customData`; `raw` if only `request` is decoded.
        data: `np.ndarray` for the first three; then bytes, str, any JSON value, `Any`.
        names: the sender's feature names: a tuple of texts, or any other value of the field.
        meta: the sender's `meta` as a dict (`puid`, `tags`, …).
        request: the parsed message for raw methods: JSON or a `SeldonMessage`.
        dtype: type of the array that the user model gets, if `data` holds it in fewer bytes (uint8,
            for whole numbers from 0 to 255).
    """

    kind: str
    data: Json
    names: Json
    meta: JsonObject
    request: Json
    dtype: DType = None


class Response:
    """An answer of a user model, with tags and metrics.

    Args:
        data: the answer: an array, a list, bytes, a text or an object.
        tags: `meta.tags` of the reply.
        metrics: Seldon metrics: objects with `key`, `type` (`COUNTER`, `GAUGE` or `TIMER`) and
            `value`.
    """

    def __new__(cls, *_: Any, **__: Any) -> Response:
        """Makes an instance that Seldon's server recognises too, if it is imported."""
        kind = known_to_seldon(cls, "seldon_core.user_model", "SeldonResponse")
        made: Response = object.__new__(kind)
        return made

    def __init__(
        self,
        data: Json,
        tags: Optional[JsonObject] = None,
        metrics: Optional[List[JsonObject]] = None,
    ) -> None:
        self.data = data
        self.tags = {} if tags is None else tags
        self.metrics = [] if metrics is None else metrics


class Prediction(NamedTuple):
    """A user model's answer.

    Attributes:
        data: rows (`np.ndarray` or list), or bytes, str or dict; or a whole reply, if `raw`.
        names: class names, one for each column, for two-dimensional rows.
        tags: tags of the answer; tags in `row_tags` have one entry for each row.
        row_tags: names of those tags.
        metrics: Seldon metrics for the reply.
        raw: whether `data` is a whole reply (`predict_raw`).
        reported: Seldon metrics to count at the commit.
        request_path: Seldon's `meta.requestPath`: the node of the graph and its image.
    """

    data: Json
    names: Json
    tags: JsonObject
    row_tags: Tuple[str, ...]
    metrics: List[JsonObject]
    raw: bool = False
    reported: Sequence[JsonObject] = ()
    request_path: Mapping[str, str] = MappingProxyType({})


class Reply(NamedTuple):
    """An answered record.

    Attributes:
        record: the record.
        value: the reply's value.
        headers: headers that describe the value.
        sent_puid: the sender's `meta.puid`; empty if there was none.
        metrics: Seldon metrics to count at the commit.
    """

    record: Record
    value: bytes
    headers: Headers
    sent_puid: str = ""
    metrics: Sequence[JsonObject] = ()


class Rejection(NamedTuple):
    """A record that can't be answered.

    Attributes:
        record: the record.
        reason: a stable word, one of `seldon_kafka.errors.REASONS` or the user model's own.
        message: the error, for the sender.
        failed: whether the user model failed; False for an error of the sender.
        sent_puid: as in `Reply`; None if the record was not decoded.
        headers: facts of the user model's exception, as headers of the dead letter.
    """

    record: Record
    reason: str
    message: str
    failed: bool = False
    sent_puid: Optional[str] = None
    headers: Headers = ()


Outcome = Union[Reply, Rejection]


def value_bytes(records: Iterable[Record]) -> int:
    """Returns the size of the values of these records, in bytes."""
    return sum([len(record.value or b"") for record in records])


def header(headers: Headers, name: str) -> Optional[bytes]:
    """Returns the value of the last header with this name (in any case), or None."""
    wanted = name.lower()
    for found, value in reversed(headers):
        if found.lower() == wanted:
            return value
    return None
