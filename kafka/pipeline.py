"""From records to outcomes: decode, stack, predict, split, encode. No Kafka client in here."""

from __future__ import annotations

import hashlib
import re
import time
from typing import Any, Callable, Dict, List, NamedTuple, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from kafka.codec import Decoded, decode
from kafka.messages import Outcome, Payload, Prediction, Record, Rejection, Reply
from kafka.reasons import Rejected
from kafka.served_class import BadPrediction, ServedClass, split

_REASON_WORD = re.compile(r"^[a-z][a-z0-9_]{0,63}$")
_NUMERIC = "biuf"
_MESSAGE_LIMIT = 1000


class Retriable(Exception):
    """The class says that its trouble passes; no message is to blame."""


class Batch(NamedTuple):
    """What came of one batch.

    Attributes:
        outcomes: one for each record, in their order.
        rows: rows that the class was asked about.
        seconds: time spent in `decode`, `predict` and `encode`.
    """

    outcomes: List[Outcome]
    rows: int
    seconds: Dict[str, float]


class _Request(NamedTuple):
    place: int
    record: Record
    decoded: Decoded
    rows: NDArray[Any]


class Pipeline:
    """Turns records into replies and rejections.

    Args:
        served: the class.
        max_message_bytes: larger values are rejected.
        batching: whether messages may be stacked.
        before_call: called before each call of the class, so that a watchdog can be wound.
    """

    def __init__(
        self,
        served: ServedClass,
        max_message_bytes: int,
        *,
        batching: bool = True,
        before_call: Callable[[], None] = lambda: None,
    ) -> None:
        self._served = served
        self._max_message_bytes = max_message_bytes
        self._before_call = before_call
        if not batching and served.stacks:
            served.call_alone("KAFKA_BATCHING is off")

    def run(self, records: Sequence[Record]) -> Batch:
        """Answers or rejects each record.

        Raises:
            Retriable: the class met passing trouble; nothing is answered, try again later.
        """
        started = time.perf_counter()
        outcomes: List[Any] = [None] * len(records)
        stacks, alone = self._decode_all(records, outcomes)
        decoded = time.perf_counter()
        answers: List[Tuple[int, Record, Decoded, Prediction]] = []
        rows = sum(self._answer_stack(requests, outcomes, answers) for requests in stacks)
        rows += sum(self._answer_alone(request, outcomes, answers) for request in alone)
        predicted = time.perf_counter()
        for index, record, request, prediction in answers:
            outcomes[index] = _encoded(record, request, prediction)
        encoded = time.perf_counter()
        seconds = {
            "decode": decoded - started,
            "predict": predicted - decoded,
            "encode": encoded - predicted,
        }
        return Batch(outcomes, rows, seconds)

    def _decode_all(
        self, records: Sequence[Record], outcomes: List[Any]
    ) -> Tuple[List[List[_Request]], List[_Request]]:
        stacks: Dict[Any, List[_Request]] = {}
        alone: List[_Request] = []
        self._before_call()
        for index, record in enumerate(records):
            try:
                decoded = _decoded(record, self._max_message_bytes)
                rows = self._rows(decoded.payload)
                # By the whole type: a narrower one beside a wider would be computed with as such.
                key = rows is not None and (rows.shape[1:], rows.dtype, decoded.payload.names)
            except Exception as error:
                outcomes[index] = _rejection(record, error)
                continue
            request = _Request(index, record, decoded, rows)
            if rows is None:
                alone.append(request)
            else:
                stacks.setdefault(key, []).append(request)
        return list(stacks.values()), alone

    def _rows(self, payload: Payload) -> Any:
        """The payload as rows that may be stacked, or None."""
        served = self._served
        if not served.stacks:
            return None
        if served.to_rows is not None:
            return _rows_of(served.to_rows(payload.data))
        data = payload.data
        if isinstance(data, np.ndarray) and data.ndim >= 2 and data.dtype.kind in _NUMERIC:
            return data if len(data) else None
        return None

    def _answer_stack(
        self, requests: List[_Request], outcomes: List[Any], answers: List[Any]
    ) -> int:
        """Answers stacked requests; if the class fails, halves them until one stands alone."""
        if not self._served.stacks:
            return sum(self._answer_alone(request, outcomes, answers) for request in requests)
        counts = [len(request.rows) for request in requests]
        self._before_call()
        try:
            stacked = requests[0].rows
            if len(requests) > 1:
                stacked = np.concatenate([request.rows for request in requests])
            prediction = self._served.predict_rows(stacked, requests[0].decoded.payload.names)
        except Exception as error:
            return self._isolate(requests, error, outcomes, answers)
        return self._split(requests, counts, prediction, outcomes, answers)

    def _isolate(
        self, requests: List[_Request], error: Exception, outcomes: List[Any], answers: List[Any]
    ) -> int:
        """Rejects the one message that the class failed at, or asks about each half again."""
        if len(requests) == 1:
            outcomes[requests[0].place] = _rejection(requests[0].record, error)
            return len(requests[0].rows)
        if _is_retriable(error):
            raise Retriable(_text(error)) from error
        half = len(requests) // 2
        return self._answer_stack(requests[:half], outcomes, answers) + self._answer_stack(
            requests[half:], outcomes, answers
        )

    def _split(
        self,
        requests: List[_Request],
        counts: List[int],
        prediction: Prediction,
        outcomes: List[Any],
        answers: List[Any],
    ) -> int:
        try:
            parts = split(prediction, counts)
        except BadPrediction as error:
            if self._served.to_rows is not None:
                # It has said that it answers row by row: one message makes it break its word.
                return self._isolate(requests, error, outcomes, answers)
            # Not a function from rows to rows, so stacking would change its answers.
            self._served.call_alone(f"it does not answer row by row: {error}")
            return sum(self._answer_alone(request, outcomes, answers) for request in requests)
        for request, part in zip(requests, parts):
            answers.append((request.place, request.record, request.decoded, part))
        return sum(counts)

    def _answer_alone(self, request: _Request, outcomes: List[Any], answers: List[Any]) -> int:
        payload = request.decoded.payload
        self._before_call()
        try:
            prediction = self._served.predict_payload(payload)
        except Exception as error:
            outcomes[request.place] = _rejection(request.record, error)
            return 1
        answers.append((request.place, request.record, request.decoded, prediction))
        return (
            len(payload.data) if isinstance(payload.data, np.ndarray) and payload.data.ndim else 1
        )


def _decoded(record: Record, max_bytes: int) -> Decoded:
    try:
        return decode(record, max_bytes)
    except Rejected:
        raise
    except Exception as error:
        # A gap in our decoder; but what fell through it is the sender's, and no failure of the
        # class, of which too many stop consumption.
        raise Rejected("undecodable", _text(error)[:_MESSAGE_LIMIT]) from error


def _rows_of(rows: Any) -> NDArray[Any]:
    array = np.asarray(rows)
    if array.ndim == 0:
        raise BadPrediction("to_rows returned no rows")
    return array


def puid_of(record: Record, payload: Payload) -> str:
    """The sender's `meta.puid`, else one made of where the record stands.

    It is the same each time that the record is answered, so that readers of `at_least_once`
    replies can tell a repetition.
    """
    sent = payload.meta.get("puid")
    if isinstance(sent, str) and sent:
        return sent
    place = f"{record.topic}/{record.partition}/{record.offset}/{record.timestamp_ms}"
    return hashlib.blake2b(place.encode("utf-8"), digest_size=16).hexdigest()


def _encoded(record: Record, decoded: Decoded, prediction: Prediction) -> Outcome:
    payload, wire_format = decoded
    try:
        value = wire_format.encode(payload, prediction, puid_of(record, payload))
    except Exception as error:
        message = f"the answer can't be written as {wire_format.name}: {_text(error)}"
        return Rejection(record, "bad_prediction", message[:_MESSAGE_LIMIT], failed=True)
    return Reply(record, value, wire_format.headers)


def _is_retriable(error: BaseException) -> bool:
    return isinstance(error, (ConnectionError, TimeoutError)) or (
        getattr(error, "retriable", False) is True
    )


def _rejection(record: Record, error: Exception) -> Rejection:
    """The rejection that an exception stands for.

    Raises:
        Retriable: the exception says that the trouble passes.
    """
    if isinstance(error, Rejected):
        return Rejection(record, error.reason, error.message)
    if _is_retriable(error):
        raise Retriable(_text(error)) from error
    status = getattr(error, "status_code", None)
    if isinstance(status, int) and 400 <= status < 500:
        reason = str(getattr(error, "reason", ""))
        word = reason if _REASON_WORD.match(reason) else "bad_payload"
        message = str(error) or str(getattr(error, "message", ""))
        return Rejection(record, word, message[:_MESSAGE_LIMIT])
    message = _text(error)[:_MESSAGE_LIMIT]
    reason = "bad_prediction" if isinstance(error, BadPrediction) else "predict_failed"
    return Rejection(record, reason, message, failed=True)


def _text(error: BaseException) -> str:
    # Seldon's exceptions carry their text in `message`; str() of them is empty.
    text = str(error) or str(getattr(error, "message", ""))
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
