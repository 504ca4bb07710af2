"""Turns records into outcomes: decode, stack, predict, split, encode; it needs no Kafka client."""

from __future__ import annotations

import time
from typing import (
    Callable,
    Dict,
    Iterator,
    List,
    Optional,
    Sequence,
    Set,
    Tuple,
)

import numpy as np

from seldon_kafka.codec import decode_request
from seldon_kafka.codec.batch import BatchDecoder, Block
from seldon_kafka.errors import (
    BadPrediction,
    Retriable,
    describe_error,
    is_temporary,
    rejection_of,
    retriable_of,
)
from seldon_kafka.messages import (
    Array,
    DType,
    Json,
    JsonObject,
    Payload,
    Prediction,
    Record,
    Rejection,
)
from seldon_kafka.pipeline.batch import Answer, Batch, BatchState, Single
from seldon_kafka.pipeline.replies import replies, reply, sent_puid
from seldon_kafka.pipeline.stack_check import StackCheck, difference, differing
from seldon_kafka.pipeline.stacking import (
    Part,
    RowLayout,
    check_rows,
    fitting,
    halves,
    merged,
    message_count,
    payload_of,
    rows_of,
    split,
    stacked,
)
from seldon_kafka.pipeline.user_model import UserModel, copy_data, raw_request

_NUMERIC_KINDS = "biuf"
_MOST_ROW_SHAPES = 1024
BATCH_ROWS = 4096
"""Default limit of rows in one call of the user model; a single message may have more rows."""


class _NotRowWise(Exception):
    """A user model that declares itself row-wise is not row-wise; the text gives the evidence."""


class Pipeline:
    """Turns records into replies and rejections.

    `decode` and `encode` run no code of the user model; only `predict` does.

    Args:
        user_model: the user model.
        max_message_bytes: largest value of a record, in bytes; records with a larger value are
            rejected.
        batching: `auto` stacks messages for a user model that declares itself row-wise, `on` counts
            as the declaration, `off` never stacks.
        batch_rows: largest number of rows in one call of the user model.
        before_call: called before each call of the user model, with the records of the call; for
            `to_rows` and `stack_to_rows` once, with all records of the batch.
        may_go_on: called between the calls if no messages are stacked; returns whether another call
            may follow. Otherwise the rest of the batch is cut off.
        on_switch: called with the reason when a user model that is declared row-wise turns out not
            to be. Its messages are not stacked any more.
        check: limits the size of stacks, and chooses the messages to check; a new one by default.
        clock: returns the seconds of a monotonic clock.
    """

    def __init__(
        self,
        user_model: UserModel,
        max_message_bytes: int,
        *,
        batching: str = "auto",
        batch_rows: int = BATCH_ROWS,
        before_call: Callable[[Sequence[Record]], None] = lambda records: None,
        may_go_on: Callable[[], bool] = lambda: True,
        on_switch: Callable[[str], None] = lambda why: None,
        check: Optional[StackCheck] = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._user_model = user_model
        self._decoder = BatchDecoder(
            max_message_bytes, keeps_requests=user_model.needs_request, raw=user_model.takes_raw
        )
        self._batch_rows = batch_rows
        self._before_call = before_call
        self._may_go_on = may_go_on
        self._on_switch = on_switch
        self._check = check or StackCheck()
        self._clock = clock
        # The first value of each constant tag, by name; and the row shapes of answered messages.
        self._constant_tags: JsonObject = {}
        self._row_shapes: Set[Tuple[int, ...]] = set()
        if batching == "on":
            user_model.declare()
        elif batching == "off" and user_model.stacks:
            user_model.call_singly("KAFKA_BATCHING is off")

    def run(self, records: Sequence[Record]) -> Batch:
        """Decodes, predicts and encodes: returns a batch with the outcomes of the records.

        The batch may be cut, as `predict` says.

        Raises:
            Retriable: the user model raised a temporary error. All records must be tried again.
        """
        batch = self.decode(records)
        self.predict(batch)
        self.encode(batch)
        return batch

    def decode(self, records: Sequence[Record]) -> Batch:
        """Decodes the records, and rejects the undecodable ones: the first step of `run`."""
        batch = Batch(records)
        started = self._clock()
        batch.blocks, singles = self._decoder.decode(records)
        for index, decoded in singles:
            if isinstance(decoded, Exception):
                batch.outcomes[index] = rejection_of(records[index], decoded)
            else:
                batch.singles.append(Single(index, *decoded))
        batch.seconds["decode"] = self._clock() - started
        return batch

    def predict(self, batch: Batch) -> None:
        """Calls the user model: the second step of `run`, which may run in another thread.

        If no messages are stacked, two things can end the prediction early: `may_go_on` returns
        False, or the user model raises a temporary error for a record after the first. The batch is
        then cut before the first message without an answer.

        Raises:
            Retriable: the user model raised a temporary error for the first record, or while it
                answered stacks. All records must be tried again.
        """
        batch.state = BatchState.PREDICTING
        started = self._clock()
        if self._user_model.stacks:
            try:
                self._predict_stacked(batch)
            except _NotRowWise as error:
                self._user_model.call_singly(str(error))
                self._on_switch(str(error))
                batch.stacks.clear()
                batch.rejections.clear()
                self._predict_singly(batch)
        else:
            self._predict_singly(batch)
        batch.seconds["predict"] = self._clock() - started

    def encode(self, batch: Batch) -> None:
        """Encodes the replies: the last step of `run`."""
        started = self._clock()
        for parts, prediction in batch.stacks:
            for index, outcome in replies(batch.records, parts, prediction):
                batch.outcomes[index] = outcome
        for single, prediction in batch.answers.values():
            record = batch.records[single.batch_index]
            batch.outcomes[single.batch_index] = reply(
                record, single.payload, single.wire_format, prediction
            )
        for index, rejection in batch.rejections.items():
            batch.outcomes[index] = rejection
        batch.seconds["encode"] = self._clock() - started
        batch.state = BatchState.ANSWERED

    def _predict_singly(self, batch: Batch) -> None:
        """Calls the user model once for each message without an answer, in the records' order.

        Raises:
            Retriable: the user model raised a temporary error for the first record.
        """
        singles = {single.batch_index: single for single in batch.singles}
        for block in batch.blocks:
            singles.update({single.batch_index: single for single in _singles_of(block)})
        is_first = True
        for index in sorted(singles):
            if index in batch.answers:
                continue
            if not is_first and not self._may_go_on():
                batch.cut(index)
                return
            try:
                self._answer_single(batch, singles[index])
            except Retriable:
                if not index:
                    raise
                batch.cut(index)
                return
            is_first = False

    def _answer_single(self, batch: Batch, single: Single) -> None:
        """Answers one message by a call of its own, or rejects it.

        Raises:
            Retriable: the user model raised a temporary error.
        """
        index = single.batch_index
        batch.rows += _row_count(single.payload.data)
        try:
            batch.answers[index] = self._call_singly(batch, single)
            self._remember_row_shape(single.payload.data)
        except Exception as error:
            batch.rejections[index] = self._rejection(batch.records[index], error, single.payload)

    def _call_singly(self, batch: Batch, single: Single) -> Answer:
        """Returns a message with the prediction of its own call.

        Raises:
            Exception: an error of the user model, or of the message.
        """
        self._before_call([batch.records[single.batch_index]])
        return self._predict_single(single)

    def _predict_single(self, single: Single) -> Answer:
        payload = single.payload
        if self._user_model.takes_raw:
            prediction = self._user_model.predict_raw(raw_request(payload))
            if prediction is not None:
                return single, prediction
            payload = decode_request(payload, single.wire_format)
        prediction = self._user_model.predict_payload(payload)
        if payload.meta and self._user_model.needs_request:
            # The user model may have changed `meta`. The reply gets a copy of it.
            payload = payload._replace(meta=self._user_model.own_meta(payload.meta))
        return single._replace(payload=payload), prediction

    def _predict_stacked(self, batch: Batch) -> None:
        stacks: Dict[RowLayout, List[Part]] = {}
        if self._user_model.to_rows is not None:
            # `to_rows` and `stack_to_rows` are calls of the user model too.
            self._before_call(batch.records)
        singles = self._stack(batch, stacks)
        for parts in stacks.values():
            self._answer_parts(batch, merged(parts))
        for single in singles:
            self._answer_single(batch, single)

    def _stack(self, batch: Batch, stacks: Dict[RowLayout, List[Part]]) -> List[Single]:
        """Adds the messages to `stacks`, as parts by their layout.

        A message is rejected if `to_rows` raises an error.

        Returns:
            The messages that can't be stacked.

        Raises:
            Retriable: `to_rows` raised a temporary error.
        """
        singles = []
        candidates = list(batch.singles)
        for block in batch.blocks:
            part = self._part_of(block)
            if part is None:
                candidates.extend(_singles_of(block))
            else:
                stacks.setdefault(part.key, []).append(part)
        for single in candidates:
            index, payload, wire_format = single
            try:
                rows = self._rows(payload)
            except Exception as error:
                batch.rejections[index] = self._rejection(batch.records[index], error, payload)
                continue
            if rows is None:
                singles.append(single)
            else:
                part = Part([index], payload, False, wire_format, rows, rows.dtype)
                stacks.setdefault(part.key, []).append(part)
        return singles

    def _rows(self, payload: Payload) -> Optional[Array]:
        """Returns the payload as rows that may be stacked; None if it can't be stacked.

        Raises:
            Exception: an error of `to_rows`.
        """
        user_model = self._user_model
        if not isinstance(payload.names, tuple):
            return None
        if user_model.to_rows is not None:
            rows = _rows_of(user_model.to_rows(copy_data(payload.data)))
            return rows if len(rows) else None
        data = payload.data
        if isinstance(data, np.ndarray) and data.ndim >= 2 and data.dtype.kind in _NUMERIC_KINDS:
            return data if len(data) else None
        return None

    def _part_of(self, block: Block) -> Optional[Part]:
        """Returns a block as one part of a stack; None if it must be split into messages."""
        user_model, payloads = self._user_model, block.payload.data
        if user_model.to_rows is None:
            if not isinstance(payloads, np.ndarray) or payloads.ndim < 3:
                return None
            rows = payloads.reshape(-1, *payloads.shape[2:])
            return _block_part(block, rows, block.payload.dtype)
        if user_model.stack_to_rows is None or _is_float(block.payload.dtype):
            return None
        try:
            rows = _rows_of(user_model.stack_to_rows(copy_data(payloads)))
        except Exception:
            # Perhaps one message causes the error, so `to_rows` gets each message by itself.
            return None
        if not len(rows) or len(rows) % len(block.indexes):
            return None
        return _block_part(block, rows, rows.dtype)

    def _answer_parts(self, batch: Batch, parts: List[Part]) -> None:
        """Answers messages of one layout, in stacks of the size that the limits allow."""
        layout = parts[0].key
        while parts:
            limit = self._check.limit(layout)
            if not limit:
                for part in parts:
                    self._answer_part_singly(batch, part)
                return
            stack, parts = split(parts, fitting(parts, limit, self._batch_rows))
            self._answer_stack(batch, stack)

    def _answer_part_singly(self, batch: Batch, part: Part) -> None:
        for index, payload in part.messages():
            self._answer_single(batch, Single(index, payload, part.wire_format))

    def _answer_stack(self, batch: Batch, parts: List[Part]) -> None:
        """Answers a stack; after an error, halves it until the failing message is single.

        Raises:
            _NotRowWise: the user model is not row-wise.
            Retriable: the user model raised a temporary error.
        """
        rows = stacked(parts)
        self._before_call(self._records_of(batch, parts))
        started = time.perf_counter()
        error: Optional[Exception] = None
        try:
            prediction = self._user_model.predict_rows(rows, parts[0].payload.names)
        except Exception as raised:
            error = raised
        else:
            error = self._why_unusable(parts, prediction)
        if error is not None:
            self._isolate(batch, parts, error)
            return
        self._check.answered(time.perf_counter() - started)
        self._compare(batch, parts, prediction)
        batch.rows += len(rows)
        if message_count(parts) == 1 and self._user_model.to_rows is None:
            # The answer to a single message may have any number of rows.
            ((index, payload),) = parts[0].messages()
            batch.answers[index] = Single(index, payload, parts[0].wire_format), prediction
        else:
            batch.stacks.append((parts, prediction))
        for part in parts:
            data = part.payload.data
            self._remember_row_shape(data[0] if part.is_block and len(data) else data)

    @staticmethod
    def _records_of(batch: Batch, parts: List[Part]) -> Sequence[Record]:
        if message_count(parts) == len(batch.records):
            # `before_call` recognises the same list by its identity, and does less work.
            return batch.records
        return [batch.records[index] for part in parts for index in part.indexes]

    def _why_unusable(self, parts: List[Part], prediction: Prediction) -> Optional[Exception]:
        """Checks that the answer to a stack has one entry for each row.

        A stack of one message is not checked, unless the user model has `to_rows`.

        Returns:
            None if the answer can be used; the error if the number of entries is wrong, and the
            user model has `to_rows`.

        Raises:
            _NotRowWise: the number of entries is wrong, and the user model has no `to_rows`; or
                `_check_tags` refuses the answer.
        """
        total = sum(len(part.rows) for part in parts)
        try:
            if self._user_model.to_rows is not None or message_count(parts) > 1:
                check_rows(prediction, total)
        except BadPrediction as error:
            if self._user_model.to_rows is not None:
                # By declaring `to_rows`, the user model promises one answer for each row, whatever
                # the number of messages. So one of the messages caused the error.
                return error
            raise _NotRowWise(f"the class does not answer row by row: {error}") from None
        if message_count(parts) > 1:
            self._check_tags(prediction)
        return None

    def _check_tags(self, prediction: Prediction) -> None:
        """Refuses tags and metrics that describe a whole stack.

        Raises:
            _NotRowWise: the answer has such tags or metrics, or a constant tag has changed.
        """
        if prediction.metrics or prediction.reported:
            raise _NotRowWise("answers report metrics, which describe a whole call")
        for name, value in prediction.tags.items():
            if name in prediction.row_tags:
                continue
            if name not in self._user_model.constant_tags:
                raise _NotRowWise(
                    f"answers have the tag {name!r}, which the class names neither in row_tags nor "
                    "in constant_tags"
                )
            if differing(self._constant_tags.setdefault(name, value), value, name):
                raise _NotRowWise(f"the tag {name!r} is in constant_tags, but changes")

    def _compare(self, batch: Batch, parts: List[Part], prediction: Prediction) -> None:
        """Compares answers from a stack with answers of single calls, for the chosen messages.

        Raises:
            _NotRowWise: the two answers to a message differ, or its single call fails.
            Retriable: the user model raised a temporary error.
        """
        layout = parts[0].key
        chosen = self._check.chosen(layout, message_count(parts))
        if not chosen:
            return
        started = time.perf_counter()
        single_answers: Dict[int, Answer] = {}
        for single, from_stack in _chosen_messages(parts, chosen, prediction):
            try:
                answer = self._call_singly(batch, single)
            except Exception as error:
                if is_temporary(error):
                    raise retriable_of(error) from error
                raise _NotRowWise(
                    _described(layout, f"a single call fails: {describe_error(error)}")
                ) from error
            single_answers[single.batch_index] = answer
            differs = difference(from_stack, answer[1])
            if differs:
                batch.answers.update(single_answers)
                raise _NotRowWise(_described(layout, differs))
        self._check.passed(layout, len(chosen), time.perf_counter() - started)

    def _isolate(self, batch: Batch, parts: List[Part], error: Exception) -> None:
        """Rejects the message of a failing stack; if there are several, answers each half.

        Raises:
            _NotRowWise: the user model is not row-wise.
            Retriable: the error, or an error of a half, is temporary.
        """
        part = parts[0]
        if message_count(parts) == 1:
            ((index, payload),) = part.messages()
            batch.rejections[index] = self._rejection(batch.records[index], error, payload)
            batch.rows += len(part.rows)
            return
        if is_temporary(error):
            raise retriable_of(error) from error
        for half in halves(parts):
            self._answer_stack(batch, half)

    def _rejection(self, record: Record, error: Exception, payload: Payload) -> Rejection:
        """Returns the rejection of a message after an error of the user model.

        It decides whether the sender or the user model caused the error.

        Raises:
            Retriable: the error is temporary.
        """
        facts = self._user_model.errors.describe(error)
        rejection = rejection_of(record, error, facts)._replace(sent_puid=sent_puid(payload))
        if not rejection.failed:
            return rejection
        if _has_missing(payload.data):
            text = f"the payload has missing or infinite values: {rejection.message}"
            return rejection._replace(reason="bad_value", message=text, failed=False)
        row_shape = _row_shape(payload.data)
        if row_shape is not None and self._row_shapes and row_shape not in self._row_shapes:
            text = f"no message of this shape was ever answered: {rejection.message}"
            return rejection._replace(reason="bad_shape", message=text, failed=False)
        return rejection

    def _remember_row_shape(self, data: Json) -> None:
        row_shape = _row_shape(data)
        if row_shape is not None and len(self._row_shapes) < _MOST_ROW_SHAPES:
            self._row_shapes.add(row_shape)


def _singles_of(block: Block) -> List[Single]:
    """Returns the messages of a block as single messages."""
    return [
        Single(index, payload_of(block.payload, number), block.wire_format)
        for number, index in enumerate(block.indexes)
    ]


def _chosen_messages(
    parts: List[Part], chosen: List[int], prediction: Prediction
) -> Iterator[Answer]:
    """Yields the chosen messages of a stack, each with its answer from the stack.

    Args:
        parts: parts of the stack.
        chosen: indexes of messages in the stack, in ascending order.
        prediction: the prediction for all rows of the stack.
    """
    left = list(reversed(chosen))
    first = row = 0
    for part in parts:
        while left and left[-1] < first + len(part.indexes):
            number = left.pop() - first
            index, payload = part.message(number)
            start = row + number * part.rows_each
            own_rows = rows_of(prediction, start, start + part.rows_each)
            yield Single(index, payload, part.wire_format), own_rows
        first, row = first + len(part.indexes), row + len(part.rows)


def _described(layout: RowLayout, differs: str) -> str:
    shape, dtype, _ = layout
    return (
        f"a stack of rows {shape} of {dtype} is answered differently than its messages: {differs}"
    )


def _is_float(dtype: DType) -> bool:
    """Returns whether a type is a float type; False for None.

    `stack_to_rows` gets a block as uint8. A user model may treat floats differently, even if they
    are whole numbers.
    """
    return dtype is not None and dtype.kind == "f"


def _block_part(block: Block, rows: Array, dtype: DType) -> Part:
    return Part(block.indexes, block.payload, True, block.wire_format, rows, dtype)


def _rows_of(rows: Json) -> Array:
    array = np.asarray(rows)
    if array.ndim == 0:
        raise BadPrediction("to_rows returned no rows")
    return array


def _row_count(data: Json) -> int:
    return len(data) if isinstance(data, np.ndarray) and data.ndim else 1


def _row_shape(data: Json) -> Optional[Tuple[int, ...]]:
    """Returns the shape of a row, or that of a one-dimensional array; None for any other data."""
    if not isinstance(data, np.ndarray) or not data.ndim:
        return None
    return data.shape[1:] if data.ndim > 1 else data.shape


def _has_missing(data: Json) -> bool:
    """Returns whether a float array has NaN or infinity, or an object array has None or NaN."""
    if not isinstance(data, np.ndarray):
        return False
    if data.dtype.kind == "O":
        return any(item is None or item != item for item in data.flat)
    return data.dtype.kind == "f" and not bool(np.isfinite(data).all())
