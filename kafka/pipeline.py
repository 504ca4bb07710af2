"""From records to outcomes: decode, stack, predict, split, encode. No Kafka client in here."""

from __future__ import annotations

import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from kafka.blame import is_retriable, rejection_of, words_of
from kafka.codec import Decoded
from kafka.codec.batch import BatchDecoder, Block
from kafka.codec.wire_format import WireFormat
from kafka.encoding import replies, reply, sent_puid
from kafka.messages import Outcome, Payload, Prediction, Record, value_bytes
from kafka.reasons import Retriable
from kafka.served_class import BadPrediction, ServedClass, check_rows
from kafka.stacking import Part, halves, message_count, payload_of, stacked

_NUMERIC = "biuf"


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


class _Lone(NamedTuple):
    """A message that the class is asked about by itself."""

    place: int
    payload: Payload
    wire_format: WireFormat


class Work:
    """One batch on its way through the pipeline.

    Attributes:
        records: what it is made of.
        size: bytes of their values.
    """

    def __init__(self, records: Sequence[Record]) -> None:
        self.records = records
        self.size = value_bytes(records)
        self.outcomes: List[Any] = [None] * len(records)
        self.stacks: Dict[Any, List[Part]] = {}
        self.alone: List[_Lone] = []
        self.answered: List[Tuple[List[Part], Prediction]] = []
        self.answered_alone: List[Tuple[_Lone, Prediction]] = []
        self.rows = 0
        self.seconds: Dict[str, float] = {}

    def reject(self, place: int, error: Exception, payload: Optional[Payload] = None) -> None:
        """Rejects the record at this place, of which this payload was read.

        Raises:
            Retriable: the error says that the trouble passes.
        """
        rejection = rejection_of(self.records[place], error)
        sent = None if payload is None else sent_puid(payload)
        self.outcomes[place] = rejection._replace(sent_puid=sent)


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
        self._decoder = BatchDecoder(max_message_bytes, keeps_requests=served.takes_raw)
        self._before_call = before_call
        if not batching and served.stacks:
            served.call_alone("KAFKA_BATCHING is off")

    def run(self, records: Sequence[Record]) -> Batch:
        """Answers or rejects each record.

        Raises:
            Retriable: the class met passing trouble; nothing is answered, try again later.
        """
        work = self.decode(records)
        self.predict(work)
        return self.encode(work)

    def decode(self, records: Sequence[Record]) -> Work:
        """Reads what was sent: the first step of `run`."""
        work = Work(records)
        started = time.monotonic()
        self._decode(work)
        work.seconds["decode"] = time.monotonic() - started
        return work

    def predict(self, work: Work) -> None:
        """Asks the class: the second step of `run`, which may be taken in another thread.

        Raises:
            Retriable: the class met passing trouble; nothing is answered, try again later.
        """
        started = time.monotonic()
        for parts in work.stacks.values():
            self._answer_stack(work, parts)
        for lone in work.alone:
            self._answer_alone(work, lone)
        work.seconds["predict"] = time.monotonic() - started

    def encode(self, work: Work) -> Batch:
        """Writes the replies: the last step of `run`."""
        started = time.monotonic()
        _encode(work)
        work.seconds["encode"] = time.monotonic() - started
        return Batch(work.outcomes, work.rows, work.seconds)

    def _decode(self, work: Work) -> None:
        self._before_call()
        blocks, singles = self._decoder.decode(work.records)
        for place, found in singles:
            if isinstance(found, Exception):
                work.reject(place, found)
            else:
                self._add_single(work, place, found)
        for block in blocks:
            self._add_block(work, block)

    def _add_single(self, work: Work, place: int, decoded: Decoded) -> None:
        payload, wire_format = decoded
        try:
            rows = self._rows(payload)
        except Exception as error:
            work.reject(place, error, payload)
            return
        if rows is None:
            work.alone.append(_Lone(place, payload, wire_format))
        else:
            part = Part([place], payload, False, wire_format, rows, rows.dtype)
            work.stacks.setdefault(part.key, []).append(part)

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

    def _add_block(self, work: Work, block: Block) -> None:
        part = self._part_of(block)
        if part is not None:
            work.stacks.setdefault(part.key, []).append(part)
            return
        for number, place in enumerate(block.places):
            decoded = Decoded(payload_of(block.payload, number), block.wire_format)
            self._add_single(work, place, decoded)

    def _part_of(self, block: Block) -> Any:
        """Alike messages as one part of a stack; None if they have to be looked at one by one."""
        served, payloads = self._served, block.payload.data
        if not served.stacks:
            return None
        if served.to_rows is None:
            if not isinstance(payloads, np.ndarray) or payloads.ndim < 3:
                return None
            rows = payloads.reshape(-1, *payloads.shape[2:])
            return _whole(block, rows, block.payload.dtype)
        if served.stack_to_rows is None or _is_fractional(block.payload.dtype):
            return None
        try:
            rows = _rows_of(served.stack_to_rows(payloads))
        except Exception:
            # Not each of them need be wrong.
            return None
        if not len(rows) or len(rows) % len(block.places):
            return None
        return _whole(block, rows, rows.dtype)

    def _answer_stack(self, work: Work, parts: List[Part]) -> None:
        """Answers stacked messages; if the class fails, halves them until one stands alone."""
        if not self._served.stacks:
            self._answer_each(work, parts)
            return
        rows = stacked(parts)
        self._before_call()
        try:
            prediction = self._served.predict_rows(rows, parts[0].payload.names)
        except Exception as error:
            self._isolate(work, parts, error)
            return
        try:
            check_rows(prediction, len(rows))
        except BadPrediction as error:
            if self._served.to_rows is not None:
                # It has said that it answers row by row: one message makes it break its word.
                self._isolate(work, parts, error)
                return
            # Not a function from rows to rows, so stacking would change its answers.
            self._served.call_alone(f"it does not answer row by row: {error}")
            self._answer_each(work, parts)
            return
        work.rows += len(rows)
        work.answered.append((parts, prediction))

    def _isolate(self, work: Work, parts: List[Part], error: Exception) -> None:
        """Rejects the one message that the class failed at, or asks about each half again."""
        if message_count(parts) == 1:
            work.reject(parts[0].places[0], error, parts[0].payload)
            work.rows += len(parts[0].rows)
            return
        if is_retriable(error):
            raise Retriable(words_of(error)) from error
        for half in halves(parts):
            self._answer_stack(work, half)

    def _answer_each(self, work: Work, parts: List[Part]) -> None:
        for part in parts:
            for place, payload in part.messages():
                self._answer_alone(work, _Lone(place, payload, part.wire_format))

    def _answer_alone(self, work: Work, lone: _Lone) -> None:
        data = lone.payload.data
        work.rows += len(data) if isinstance(data, np.ndarray) and data.ndim else 1
        self._before_call()
        try:
            prediction = self._served.predict_payload(lone.payload)
        except Exception as error:
            work.reject(lone.place, error, lone.payload)
            return
        work.answered_alone.append((lone, prediction))


def _is_fractional(dtype: Any) -> bool:
    """Whether a class may read whole numbers of this type otherwise than those of others."""
    return dtype is not None and dtype.kind == "f"


def _whole(block: Block, rows: NDArray[Any], dtype: Any) -> Part:
    return Part(block.places, block.payload, True, block.wire_format, rows, dtype)


def _rows_of(rows: Any) -> NDArray[Any]:
    array = np.asarray(rows)
    if array.ndim == 0:
        raise BadPrediction("to_rows returned no rows")
    return array


def _encode(work: Work) -> None:
    for parts, prediction in work.answered:
        for place, outcome in replies(work.records, parts, prediction):
            work.outcomes[place] = outcome
    for lone, prediction in work.answered_alone:
        record = work.records[lone.place]
        work.outcomes[lone.place] = reply(record, lone.payload, lone.wire_format, prediction)
