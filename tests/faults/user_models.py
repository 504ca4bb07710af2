"""User models that misbehave on marked images or if a file exists; otherwise they classify.

There are three: a row-wise one, a row-wise one that reuses its buffers, and one that is not
row-wise and declares nothing.

A worker imports this module as it imports any user model. So the module is also where the harness
installs `KillPoints` in the worker.
"""

from __future__ import annotations

import ctypes
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from seldon_core.user_model import SeldonResponse

from seldon_kafka.pipeline.pipeline import Pipeline
from seldon_kafka.transport.producers import TransactionalProducer
from wrapper import KmnistClassifier
from wrapper.payload import to_rows

FOLDER = "FAULTS_FOLDER"
"""Variable with the folder of the files that control the user model."""
REPLICA = "FAULTS_REPLICA"
"""Variable with the name of the replica, for files that control only one."""

AFTER_PREDICT = "after-predict"
BEFORE_COMMIT = "after-produce-before-commit"
DURING_COMMIT = "during-commit"
STORE_UNAVAILABLE = "store-away"
FILL_MEMORY = "hoard"

MARK = (251, 17, 93)
"""The first three pixels of an image that makes the model misbehave; the fourth says how."""
RAISE, HANG, SEGFAULT, BLOAT, NAN, WRONG_SHAPE, LEAK = range(1, 8)

_COMMIT_S = 0.004
_FLUSH_S = 5.0
_BLOCK_MIB = 16
_MAX_ALLOCATED_MIB = 2048
_MIB = 1024 * 1024
_leaked: list[bytearray] = []


def marked(image: NDArray[np.uint8], code: int) -> NDArray[np.uint8]:
    """Returns a copy of an image (28, 28) with the mark for this misbehaviour."""
    copy = image.copy()
    copy[0, :4] = (*MARK, code)
    return copy


def trigger_file(folder: Path, point: str, replica: str) -> Path:
    """Returns the file whose existence kills the replica's worker at this point, once."""
    return folder / f"{point}.{replica}"


class Faulty(KmnistClassifier):
    """Answers as the shipped classifier does, unless a mark or a file makes it misbehave."""

    def load(self) -> None:
        super().load()
        self._folder = Path(os.environ[FOLDER])
        self._replica = os.environ[REPLICA]
        KillPoints(self._folder, self._replica).install()

    def predict(self, X: Any, names: Any = None) -> SeldonResponse:  # noqa: N803
        if (self._folder / STORE_UNAVAILABLE).exists():
            raise ConnectionError("the feature store is unavailable")
        trigger = trigger_file(self._folder, FILL_MEMORY, self._replica)
        if trigger.exists():
            trigger.unlink(missing_ok=True)
            _fill_memory()
        rows = to_rows(X)
        is_marked = (rows[:, 0, :3] == MARK).all(axis=1)
        codes = rows[is_marked, 0, 3].tolist()
        _misbehave(codes)
        response = super().predict(rows)
        if NAN in codes:
            response.data[is_marked & (rows[:, 0, 3] == NAN)] = np.nan
        if WRONG_SHAPE in codes:
            return SeldonResponse(self._misshapen(response.data))
        return response

    def _misshapen(self, rows: Any) -> Any:
        return rows[:-1]


class Buffered(Faulty):
    """Answers from an array, a dict and lists that it reuses in each call."""

    def load(self) -> None:
        super().load()
        self._answers = np.empty((0, 0), np.float32)
        self._tags: dict[str, Any] = {}

    def predict(self, X: Any, names: Any = None) -> SeldonResponse:  # noqa: N803
        response = super().predict(X, names)
        count = len(response.data)
        if len(self._answers) < count:
            self._answers = np.empty(response.data.shape, response.data.dtype)
        self._answers[:count] = response.data
        for name, value in response.tags.items():
            if isinstance(value, list):
                self._tags.setdefault(name, [])[:] = value
            else:
                self._tags[name] = value
        return SeldonResponse(self._answers[:count], tags=self._tags)


class NotRowWise(Faulty):
    """Gives each image of a call the answer to the one before it, and declares nothing.

    Its answers are in an array that it reuses.
    """

    to_rows = None  # type: ignore[assignment]
    stack_to_rows = None  # type: ignore[assignment]

    @property
    def predict_raw(self) -> Any:
        """Absent, so that the runtime decodes this model's messages and rejects bad ones."""
        raise AttributeError("predict_raw")

    def predict(self, X: Any, names: Any = None) -> SeldonResponse:  # noqa: N803
        response = super().predict(X, names)
        if not isinstance(response.data, np.ndarray):
            return response
        tags = {
            name: [value[-1], *value[:-1]] if isinstance(value, list) else value
            for name, value in response.tags.items()
        }
        self._kept = getattr(self, "_kept", np.empty((64, 10), np.float32))
        answer = self._kept[: len(response.data)]
        answer[:] = np.roll(response.data, 1, axis=0)
        return SeldonResponse(answer, tags=tags)

    def _misshapen(self, rows: Any) -> Any:
        # For a model that declares nothing, a missing row would be a valid answer.
        return [[0.5], [0.25, 0.25]]


CLASSES = {"a": Buffered, "b": NotRowWise}
"""The user model of each replica that always runs; other replicas serve `Faulty`."""


def answers_are_shifted(worker: str) -> bool:
    """Returns whether the worker of this name serves `NotRowWise`."""
    return CLASSES.get(worker.partition(".")[0]) is NotRowWise


def _misbehave(codes: list[int]) -> None:
    if RAISE in codes:
        raise ValueError("the model cannot predict this image")
    if HANG in codes:
        time.sleep(3600)
    if SEGFAULT in codes:
        ctypes.string_at(0)
    if BLOAT in codes:
        _fill_memory()
    for _ in range(codes.count(LEAK)):
        _leaked.append(bytearray(os.urandom(_MIB)) * 8)


def _fill_memory() -> None:
    """Allocates memory until the kernel kills the process.

    Raises:
        RuntimeError: the limit is not in force; the machine must not run out of memory.
    """
    blocks: list[bytearray] = []
    while len(blocks) * _BLOCK_MIB < _MAX_ALLOCATED_MIB:
        blocks.append(bytearray(os.urandom(_MIB)) * _BLOCK_MIB)
    raise RuntimeError(f"{_MAX_ALLOCATED_MIB} MiB were allocated without being killed")


class KillPoints:
    """Kills this process at points that no signal from outside could hit.

    Args:
        folder: folder of the trigger files, see `trigger_file`.
        replica: name of the worker's replica.
    """

    def __init__(self, folder: Path, replica: str) -> None:
        self._folder = folder
        self._replica = replica

    def install(self) -> None:
        """Wraps the worker's methods."""
        self._after(Pipeline, "predict", AFTER_PREDICT)
        call: Any = TransactionalProducer._call

        def hooked(producer: Any, function: Any, *arguments: Any, **others: Any) -> None:
            if function.__name__ == "commit_transaction":
                if self._is_triggered(BEFORE_COMMIT):
                    # Flushed, so that uncommitted messages are in the log, visible to readers.
                    function.__self__.flush(_FLUSH_S)
                self._kill_if_triggered(BEFORE_COMMIT)
                if self._is_triggered(DURING_COMMIT):
                    # By then the request or its reply is on the way.
                    threading.Timer(_COMMIT_S, self._kill_if_triggered, [DURING_COMMIT]).start()
            call(producer, function, *arguments, **others)

        TransactionalProducer._call = hooked  # type: ignore[assignment, method-assign]

    def _after(self, owner: Any, method: str, point: str) -> None:
        original = getattr(owner, method)

        def hooked(*arguments: Any) -> Any:
            answer = original(*arguments)
            self._kill_if_triggered(point)
            return answer

        setattr(owner, method, hooked)

    def _is_triggered(self, point: str) -> bool:
        return trigger_file(self._folder, point, self._replica).exists()

    def _kill_if_triggered(self, point: str) -> None:
        if self._is_triggered(point):
            trigger_file(self._folder, point, self._replica).unlink()
            os.kill(os.getpid(), signal.SIGKILL)
