"""The shipped classifier with a grudge: marked images make it misbehave, and files kill it.

The replicas serve three classes: one that is row-wise, one that is and reuses its buffers, and one
that is not and declares nothing.

A worker imports this class like any other, and so it is also where the harness
gets a hook into the worker: at the chosen points of `KillPoints`.
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
"""Variable with the folder of the files that steer the class."""
REPLICA = "FAULTS_REPLICA"
"""Variable with the name of the replica, for files that are for one of them."""

AFTER_PREDICT = "after-predict"
BEFORE_COMMIT = "after-produce-before-commit"
DURING_COMMIT = "during-commit"
STORE_AWAY = "store-away"
HOARD = "hoard"

MARK = (251, 17, 93)
"""The first three pixels of an image that makes the class misbehave; the fourth says how."""
RAISE, HANG, SEGFAULT, BLOAT, NAN, WRONG_SHAPE, LEAK = range(1, 8)

_COMMIT_S = 0.004
_FLUSH_S = 5.0
_HOARD_MIB = 16
_MOST_HOARDED_MIB = 2048
_MIB = 1024 * 1024
_leaked: list[bytearray] = []


def marked(image: NDArray[np.uint8], code: int) -> NDArray[np.uint8]:
    """A copy of an image (28, 28) that asks for this misbehaviour."""
    copy = image.copy()
    copy[0, :4] = (*MARK, code)
    return copy


def order(folder: Path, point: str, replica: str) -> Path:
    """The file that, once there, has the replica's worker die at a point; it then is gone."""
    return folder / f"{point}.{replica}"


class Faulty(KmnistClassifier):
    """Answers as the shipped classifier does, unless an image or a file asks for trouble."""

    def load(self) -> None:
        super().load()
        self._folder = Path(os.environ[FOLDER])
        self._replica = os.environ[REPLICA]
        KillPoints(self._folder, self._replica).install()

    def predict(self, X: Any, names: Any = None) -> SeldonResponse:  # noqa: N803
        if (self._folder / STORE_AWAY).exists():
            raise ConnectionError("the feature store is away")
        hoard = order(self._folder, HOARD, self._replica)
        if hoard.exists():
            hoard.unlink(missing_ok=True)
            _hoard()
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
    """Answers out of an array, a dict and lists that it uses again at each call."""

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
    """Gives each image of a call the answer of the one before it; declares nothing.

    Its answers come in one array that it uses again.
    """

    to_rows = None  # type: ignore[assignment]
    stack_to_rows = None  # type: ignore[assignment]

    @property
    def predict_raw(self) -> Any:
        """Not there: the runtime reads this class's messages, and says what is wrong with them."""
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
        # One row less is an answer like any other of a class that declares nothing.
        return [[0.5], [0.25, 0.25]]


CLASSES = {"a": Buffered, "b": NotRowWise}
"""The class of each replica that always runs; all others serve `Faulty`."""


def answers_of_neighbours(worker: str) -> bool:
    """Whether the worker of this name serves `NotRowWise`."""
    return CLASSES.get(worker.partition(".")[0]) is NotRowWise


def _misbehave(codes: list[int]) -> None:
    if RAISE in codes:
        raise ValueError("this image is beyond me")
    if HANG in codes:
        time.sleep(3600)
    if SEGFAULT in codes:
        ctypes.string_at(0)
    if BLOAT in codes:
        _hoard()
    for _ in range(codes.count(LEAK)):
        _leaked.append(bytearray(os.urandom(_MIB)) * 8)


def _hoard() -> None:
    """Takes memory until the kernel has enough of it.

    Raises:
        RuntimeError: it has not; the machine is not to suffer for a limit that is not in force.
    """
    hoard: list[bytearray] = []
    while len(hoard) * _HOARD_MIB < _MOST_HOARDED_MIB:
        hoard.append(bytearray(os.urandom(_MIB)) * _HOARD_MIB)
    raise RuntimeError(f"nobody minds that {_MOST_HOARDED_MIB} MiB are hoarded")


class KillPoints:
    """Kills this process where it is told to, which no signal from outside could hit.

    Args:
        folder: where the orders are, see `order`.
        replica: whose worker this is.
    """

    def __init__(self, folder: Path, replica: str) -> None:
        self._folder = folder
        self._replica = replica

    def install(self) -> None:
        """Puts itself around what the worker does."""
        self._after(Pipeline, "predict", AFTER_PREDICT)
        call: Any = TransactionalProducer._call

        def hooked(producer: Any, function: Any, *arguments: Any, **others: Any) -> None:
            if function.__name__ == "commit_transaction":
                if self._ordered(BEFORE_COMMIT):
                    # What is not to be committed is to be in the log, where readers could see it.
                    function.__self__.flush(_FLUSH_S)
                self._obey(BEFORE_COMMIT)
                if self._ordered(DURING_COMMIT):
                    # The request is on its way by then, or its answer.
                    threading.Timer(_COMMIT_S, self._obey, [DURING_COMMIT]).start()
            call(producer, function, *arguments, **others)

        TransactionalProducer._call = hooked  # type: ignore[assignment, method-assign]

    def _after(self, owner: Any, method: str, point: str) -> None:
        original = getattr(owner, method)

        def hooked(*arguments: Any) -> Any:
            answer = original(*arguments)
            self._obey(point)
            return answer

        setattr(owner, method, hooked)

    def _ordered(self, point: str) -> bool:
        return order(self._folder, point, self._replica).exists()

    def _obey(self, point: str) -> None:
        if self._ordered(point):
            order(self._folder, point, self._replica).unlink()
            os.kill(os.getpid(), signal.SIGKILL)
