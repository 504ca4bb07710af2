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
"""A JSON value; in payloads and answers also an array, bytes or any object of a user model."""

JsonObject = Dict[str, Any]
"""A JSON object."""

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]
    """An array of any type."""
else:
    # Without numpy, the command line and user models that import `Response` start faster.
    Array = Any

DType = Any
"""A `np.dtype`; in numpy for Python 3.8 its type has no parameters."""

Headers = Sequence[Tuple[str, Optional[bytes]]]

# Names of headers that the runtime writes. All other headers are the sender's.
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

# Replaces the headers of a message if the client library can't return them because their names are
# not UTF-8. The message is rejected.
UNREADABLE_HEADERS: Headers = (("kafka-unreadable-headers", b"names are not UTF-8"),)

# Marks a message that the client library can't return, because its batch can't be decompressed or
# is larger than `receive.message.max.bytes` (100 MB) when decompressed.
UNREADABLE_BATCH: Headers = (("kafka-unreadable-batch", b"it can't be decompressed"),)


InputPosition = Tuple[str, int, int]
"""The position of an input record: topic, partition and offset."""


class Record(NamedTuple):
    """A consumed message.

    Attributes:
        topic: input topic.
        partition: number of the partition.
        offset: offset in the partition.
        timestamp_ms: timestamp, in milliseconds since 1970; -1 if there is none.
        key: the key; None if there is none.
        value: the value; None for a tombstone.
        headers: pairs of name and value, in the sender's order; names may repeat.
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
        data: `np.ndarray` for `ndarray`, `tensor` and `tftensor`; bytes for `binData`; str for
            `strData`; any JSON value for `jsonData`; protobuf's `Any` for `customData`.
        names: feature names of the sender, as a tuple of texts. If the sender's `names` is not a
            list of texts, it is kept as it is.
        meta: `meta` of the sender (`puid`, `tags`, …).
        request: the parsed message for raw methods, as JSON or `SeldonMessage`; None if no method
            needs it.
        dtype: type of the array that the user model gets, if `data` has another type. Whole numbers
            from 0 to 255 may be in `data` as uint8, which takes fewer bytes.
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
        data: the answer: an array, a list, bytes, a str or a dict.
        tags: `meta.tags` of the reply.
        metrics: Seldon metrics: objects with `key`, `type` (`COUNTER`, `GAUGE` or `TIMER`) and
            `value`.
    """

    def __new__(cls, *_: Any, **__: Any) -> Response:
        """Makes an instance that Seldon's server recognises too, if seldon_core is imported."""
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
    """The answer of a user model to one message, or to a stack of messages.

    Attributes:
        data: rows (`np.ndarray` or list), or bytes, str or dict; or a whole reply, if `raw`.
        names: class names, one for each column of two-dimensional rows.
        tags: tags of the reply; a tag in `row_tags` has one entry for each row.
        row_tags: names of the tags with one entry for each row.
        metrics: Seldon metrics to write into the reply.
        raw: whether `data` is a whole reply (`predict_raw`).
        reported: Seldon metrics that the worker counts when the transaction commits.
        request_path: Seldon's `meta.requestPath`: image by name of the graph's node.
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
        record: the input record.
        value: value of the reply.
        headers: headers that describe the value.
        sent_puid: `meta.puid` of the sender; empty if the sender set none.
        metrics: Seldon metrics that the worker counts when the transaction commits.
    """

    record: Record
    value: bytes
    headers: Headers
    sent_puid: str = ""
    metrics: Sequence[JsonObject] = ()


class Rejection(NamedTuple):
    """A record that can't be answered.

    Attributes:
        record: the input record.
        reason: a stable word: one of `seldon_kafka.errors.REASONS`, or a word of the user model.
        message: description of the error, for the sender.
        failed: whether the user model failed; False for an error of the sender.
        sent_puid: `meta.puid` of the sender; empty if the sender set none, None if the record was
            not decoded.
        headers: facts about the user model's exception, as headers of the dead letter.
    """

    record: Record
    reason: str
    message: str
    failed: bool = False
    sent_puid: Optional[str] = None
    headers: Headers = ()


Outcome = Union[Reply, Rejection]


def value_bytes(records: Iterable[Record]) -> int:
    """Returns the total size of the values of records, in bytes."""
    return sum([len(record.value or b"") for record in records])


def header(headers: Headers, name: str) -> Optional[bytes]:
    """Returns the value of the last header with this name, or None if there is none.

    Upper and lower case are equal.
    """
    wanted = name.lower()
    for found, value in reversed(headers):
        if found.lower() == wanted:
            return value
    return None
