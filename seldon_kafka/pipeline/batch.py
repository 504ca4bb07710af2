"""A batch of records on its way from the consumer to the commit."""

from __future__ import annotations

import enum
import threading
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple, cast

from seldon_kafka.codec.batch import Block
from seldon_kafka.codec.wire_format import WireFormat
from seldon_kafka.messages import Outcome, Payload, Prediction, Record, Rejection, value_bytes
from seldon_kafka.pipeline.stacking import Part


class BatchState(enum.Enum):
    """The states of a batch, in their order; `DROPPED` can follow the first two."""

    READ = "read"
    PREDICTING = "predicting"
    ANSWERED = "answered"
    PUBLISHED = "published"
    DROPPED = "dropped"


class Single(NamedTuple):
    """A message for a call of its own.

    Attributes:
        batch_index: its index in the batch.
        payload: its payload.
        wire_format: the format of its reply.
    """

    batch_index: int
    payload: Payload
    wire_format: WireFormat


Answer = Tuple[Single, Prediction]


class Batch:
    """Consecutive records, what the pipeline made of them, and how far they are.

    The I/O thread makes the batch. The main thread owns it from its submission until `wait`
    returns; then the I/O thread owns it again.

    Args:
        records: its records.

    Attributes:
        records: its records.
        size: bytes of their values.
        state: how far the batch is.
        blocks: alike messages.
        singles: the other messages that could be decoded.
        stacks: answered stacks.
        answers: answers of single messages, by index.
        rejections: rejections by the user model, by index.
        outcomes: one for each record, in their order, once the state is `ANSWERED`; after a cut,
            one for each of the first records.
        rows: number of rows that the user model got.
        seconds: time spent in `decode`, `predict` and `encode`.
        is_decided: whether the records were rejected without a call of the user model.
    """

    def __init__(self, records: Sequence[Record]) -> None:
        self.records = records
        self.size = value_bytes(records)
        self.state = BatchState.READ
        self.blocks: List[Block] = []
        self.singles: List[Single] = []
        self.stacks: List[Tuple[List[Part], Prediction]] = []
        self.answers: Dict[int, Answer] = {}
        self.rejections: Dict[int, Rejection] = {}
        self.rows = 0
        self.seconds: Dict[str, float] = {}
        self.is_decided = False
        self.outcomes = cast(List[Outcome], [None] * len(records))
        self._error: Optional[BaseException] = None
        # Released when the prediction ends. A lock takes half of the time of an event.
        self._under_way = threading.Lock()
        self._under_way.acquire()

    @property
    def left(self) -> Sequence[Record]:
        """The records that were cut off."""
        return self.records[len(self.outcomes) :]

    @property
    def is_whole(self) -> bool:
        """Whether the prediction reached every record."""
        return not (self._error or self.left or self.state is BatchState.DROPPED)

    def cut(self, index: int) -> None:
        """Cuts off the record at this index and all records after it."""
        # The I/O thread may read `records` meanwhile, so they stay.
        del self.outcomes[index:]
        # Some of them may have answers already, from the check of a stack.
        self.answers = {at: answer for at, answer in self.answers.items() if at < index}
        self.rejections = {at: found for at, found in self.rejections.items() if at < index}

    def end(self, error: Optional[BaseException] = None) -> None:
        """Hands the batch back to the I/O thread.

        Args:
            error: the exception that ended the prediction; `wait` raises it.
        """
        self._error = error
        self._under_way.release()

    def wait(self) -> None:
        """Waits until the main thread has handed the batch back.

        Raises:
            Retriable: the user model met a temporary error.
            BaseException: any other exception that ended the prediction.
        """
        with self._under_way:
            pass
        if self._error is not None:
            raise self._error
