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
    """The states of a batch, in their order.

    A batch that is not wanted any more before the user model gets it is `DROPPED`.
    """

    READ = "read"
    PREDICTING = "predicting"
    ANSWERED = "answered"
    PUBLISHED = "published"
    DROPPED = "dropped"


class Single(NamedTuple):
    """A decoded message that is in no block.

    Attributes:
        batch_index: index of the message in the batch.
        payload: payload of the message.
        wire_format: format of the reply.
    """

    batch_index: int
    payload: Payload
    wire_format: WireFormat


Answer = Tuple[Single, Prediction]


class Batch:
    """Consecutive records, their decoded messages, predictions and outcomes.

    The I/O thread creates the batch. The main thread owns it from its submission until `wait`
    returns; then the I/O thread owns it again.

    Args:
        records: the records.

    Attributes:
        records: the records.
        size: size of the records' values, in bytes.
        state: state of the batch.
        blocks: groups of messages that were decoded together; the messages of each block have the
            same layout.
        singles: decoded messages that are in no block.
        stacks: parts and prediction of each answered stack.
        answers: answers of single messages, by index in the batch.
        rejections: rejections after decoding, by the user model or because its answer is unusable,
            by index in the batch.
        outcomes: one outcome for each record, in their order, once the state is `ANSWERED`; after
            `cut`, outcomes of the records before the cut only.
        rows: number of rows of the messages that were predicted, for the metric of batch sizes; a
            message without an array counts as one.
        seconds: duration of `decode`, `predict` and `encode`, in seconds.
        is_decided: whether the batch is one record that is rejected without a call of the user
            model: workers died at it, its retries are exhausted, or the brokers refused its reply.
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
        # The lock is released when the prediction ends. It takes half the time of a
        # `threading.Event`.
        self._under_way = threading.Lock()
        self._under_way.acquire()

    @property
    def left(self) -> Sequence[Record]:
        """The records that `cut` has cut off."""
        return self.records[len(self.outcomes) :]

    def cut(self, index: int) -> None:
        """Cuts off the record at this index and all records after it."""
        # The I/O thread may read `records` meanwhile, so that list stays as it is.
        del self.outcomes[index:]
        # Records that are cut off can have answers, from the single calls that check a stack.
        self.answers = {each: answer for each, answer in self.answers.items() if each < index}
        self.rejections = {
            each: rejection for each, rejection in self.rejections.items() if each < index
        }

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
            Retriable: the user model raised a temporary error.
            BaseException: any other exception that ended the prediction.
        """
        with self._under_way:
            pass
        if self._error is not None:
            raise self._error
