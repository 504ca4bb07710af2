"""Classes that keep something between calls, or write into what they were given."""

from __future__ import annotations

from typing import Any

import numpy as np
from seldon_core.user_model import SeldonResponse

from tests.compatibility.classes.case import cases


class KeptBuffer:
    """Answers with the same array each time, as long as the shape stays."""

    def __init__(self) -> None:
        self._buffer = np.zeros(0)

    def predict(self, rows: Any, names: Any) -> Any:
        table = np.asarray(rows, dtype=np.float64)
        if self._buffer.shape != table.shape:
            self._buffer = np.zeros(table.shape)
        self._buffer[...] = table + 0.5
        return self._buffer


class KeptView:
    """Answers with a part of one large array."""

    def __init__(self) -> None:
        self._buffer = np.zeros((4096, 8))

    def predict(self, rows: Any, names: Any) -> Any:
        table = np.asarray(rows, dtype=np.float64).reshape(len(rows), -1)[:, :8]
        part = self._buffer[: len(table), : table.shape[1]]
        part[...] = table * 10
        return part


class ReusedDict:
    def __init__(self) -> None:
        self._answer: dict[str, Any] = {}

    def predict(self, rows: Any, names: Any) -> Any:
        self._answer["total"] = float(np.sum(np.asarray(rows, dtype=np.float64)))
        return self._answer


class ReusedList:
    def __init__(self) -> None:
        self._answer: list[Any] = []

    def predict(self, rows: Any, names: Any) -> Any:
        self._answer.clear()
        self._answer.extend(np.asarray(rows, dtype=np.float64).tolist())
        return self._answer


class ReusedInnerList:
    def __init__(self) -> None:
        self._row = [0.0]

    def predict(self, rows: Any, names: Any) -> Any:
        self._row[0] = float(np.sum(np.asarray(rows, dtype=np.float64)))
        return [self._row]


class ReusedBytes:
    def __init__(self) -> None:
        self._answer = bytearray()

    def predict(self, rows: Any, names: Any) -> Any:
        self._answer[:] = repr(np.asarray(rows).tolist()).encode("utf-8")
        return self._answer


class ReusedResponse:
    """Answers with one `SeldonResponse`, whose parts change."""

    def __init__(self) -> None:
        self._tags: dict[str, Any] = {}
        self._response = SeldonResponse(None, tags=self._tags)

    def predict(self, rows: Any, names: Any) -> Any:
        table = np.asarray(rows, dtype=np.float64)
        self._response.data = table
        self._tags["total"] = float(table.sum())
        return self._response


class ReusedMetrics:
    def __init__(self) -> None:
        self._metrics = [{"type": "GAUGE", "key": "total", "value": 0.0}]

    def predict(self, rows: Any, names: Any) -> Any:
        table = np.asarray(rows, dtype=np.float64)
        self._metrics[0]["value"] = float(table.sum())
        return SeldonResponse(table, metrics=self._metrics)


class ReusedTags:
    """A dict that `tags` returns each time."""

    def __init__(self) -> None:
        self._tags: dict[str, Any] = {}

    def predict(self, rows: Any, names: Any) -> Any:
        self._tags["first"] = str(np.asarray(rows).ravel()[:1].tolist())
        return np.asarray(rows)

    def tags(self) -> Any:
        return self._tags


class ReusedNames:
    """A list of class names that is written anew at each call."""

    def __init__(self) -> None:
        self.class_names: list[str] = []

    def predict(self, rows: Any, names: Any) -> Any:
        table = np.asarray(rows, dtype=np.float64)
        self.class_names[:] = [f"total {total:g}" for total in table.sum(axis=0)]
        return table


class DoublesInPlace:
    def predict(self, rows: Any, names: Any) -> Any:
        rows *= 2
        return rows


class ClearsInPlace:
    """Takes its answer from the array, then overwrites it."""

    def predict(self, rows: Any, names: Any) -> Any:
        answer = rows.sum(axis=-1, keepdims=True)
        rows[...] = 0
        return answer


class SortsInPlace:
    def predict(self, rows: Any, names: Any) -> Any:
        rows.sort(axis=-1)
        return rows[..., :2]


class ReturnsInput:
    def predict(self, rows: Any, names: Any) -> Any:
        return rows


class KeepsInput:
    """Changes the array of the call before: it may be an answer by now."""

    def __init__(self) -> None:
        self._before: Any = None

    def predict(self, rows: Any, names: Any) -> Any:
        if isinstance(self._before, np.ndarray) and self._before.dtype.kind == "f":
            self._before[...] = -1
        self._before = np.array(rows, dtype=np.float64)
        return self._before


class WritesIntoDict:
    """Adds to the JSON that it was given."""

    def predict(self, rows: Any, names: Any) -> Any:
        if isinstance(rows, dict):
            rows["seen"] = True
            return rows
        return {"kind": type(rows).__name__}


class WritesIntoNames:
    def predict(self, rows: Any, names: Any) -> Any:
        names.append("more")
        return {"names": list(names)}


class WritesIntoMeta:
    """Seldon composes the reply of the same `meta`."""

    def predict(self, rows: Any, names: Any, meta: Any = None) -> Any:
        if isinstance(meta, dict):
            meta.setdefault("tags", {})["written"] = "by the class"
        return np.zeros((1, 1))


class CountsCalls:
    def __init__(self) -> None:
        self.calls = 0

    def predict(self, rows: Any, names: Any) -> Any:
        self.calls += 1
        return [[self.calls]]


class CountsRows:
    """A sum over all messages so far, in the answer's tags."""

    def __init__(self) -> None:
        self.rows = 0

    def predict(self, rows: Any, names: Any) -> Any:
        self.rows += np.size(rows)
        return SeldonResponse(np.ones((1, 2)), tags={"so far": self.rows})


class CountsTags:
    def __init__(self) -> None:
        self.asked = 0

    def predict(self, rows: Any, names: Any) -> Any:
        return np.ones((1, 2))

    def tags(self) -> Any:
        self.asked += 1
        return {"asked": self.asked}


class CountsMetrics:
    def __init__(self) -> None:
        self.asked = 0

    def predict(self, rows: Any, names: Any) -> Any:
        return np.ones((1, 2))

    def metrics(self) -> Any:
        self.asked += 1
        return [{"type": "COUNTER", "key": "asked", "value": self.asked}]


class CountsNames:
    """Class names that count how often they are asked for."""

    def __init__(self) -> None:
        self.asked = 0

    def predict(self, rows: Any, names: Any) -> Any:
        return np.ones((1, 1))

    def class_names(self) -> list[str]:
        self.asked += 1
        return [f"asked {self.asked}"]


class RemembersLast:
    """Answers with the payload before."""

    def __init__(self) -> None:
        self._last = "nothing"

    def predict(self, rows: Any, names: Any) -> Any:
        last, self._last = self._last, repr(np.asarray(rows).tolist())
        return last


class FailsEveryThird:
    def __init__(self) -> None:
        self.calls = 0

    def predict(self, rows: Any, names: Any) -> Any:
        self.calls += 1
        if self.calls % 3 == 0:
            raise RuntimeError("every third call fails")
        return [[self.calls]]


STATE = cases(
    KeptBuffer,
    KeptView,
    ReusedDict,
    ReusedList,
    ReusedInnerList,
    ReusedBytes,
    ReusedResponse,
    ReusedMetrics,
    ReusedTags,
    ReusedNames,
    DoublesInPlace,
    ClearsInPlace,
    SortsInPlace,
    ReturnsInput,
    KeepsInput,
    WritesIntoDict,
    WritesIntoNames,
    WritesIntoMeta,
) + cases(
    CountsCalls,
    CountsRows,
    CountsTags,
    CountsMetrics,
    CountsNames,
    RemembersLast,
    FailsEveryThird,
    counts_calls=True,
)
