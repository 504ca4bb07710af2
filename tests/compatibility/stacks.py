"""Messages of one layout with different numbers, which a runtime may stack."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from seldon_core.proto import prediction_pb2

from tests.compatibility.classes.case import Case
from tests.compatibility.payloads import Payload, ndarray, protobuf, seldon, v2

SIZES = (2, 3, 8, 33)
_FEW_SIZES = (2, 3, 8)
# A number that some classes fail at, in each message of this many.
_BAD_NUMBER, _BAD_EACH = 95, 7


@dataclass(frozen=True)
class Layout:
    """A layout.

    Attributes:
        name: for reports.
        message: makes the message of this number.
        sizes: how many messages come at once, one batch after the other.
    """

    name: str
    message: Callable[[int], Payload]
    sizes: tuple[int, ...]


def batches(case: Case) -> list[list[Payload]]:
    """The batches that one instance of the class gets, one after the other."""
    layouts = LAYOUTS[:1] if case.is_about_replies else LAYOUTS
    found = []
    for layout in layouts:
        messages = [layout.message(number) for number in range(max(layout.sizes))]
        for size in layout.sizes:
            start = (5 * size) % (len(messages) - size + 1)
            found.append(messages[start : start + size])
    return found


def _small_ints(number: int) -> Payload:
    row = [number % 10, (number * 3) % 10, number // 10]
    if number % _BAD_EACH == _BAD_EACH - 1:
        row[1] = _BAD_NUMBER
    return ndarray(f"small ints {number}", [row])


def _wide_ints(number: int) -> Payload:
    """Longer than the shortest text whose layout the runtime remembers."""
    row = np.random.default_rng(number).integers(0, 256, 120).tolist()
    return ndarray(f"wide ints {number}", [row])


def _two_rows(number: int) -> Payload:
    rows = np.random.default_rng(number).normal(scale=3, size=(2, 3)).round(3).tolist()
    return ndarray(f"two rows {number}", rows)


def _tensor(number: int) -> Payload:
    values = [number + 0.5, -number, number * 2]
    return seldon(f"tensor {number}", {"data": {"tensor": {"shape": [1, 3], "values": values}}})


def _v2(number: int) -> Payload:
    return v2(f"V2 {number}", "FP32", [1, 3], [number * 0.25, 1.5, -number], np.float32)


def _protobuf(number: int) -> Payload:
    tensor = prediction_pb2.Tensor(shape=[1, 3], values=[number, number / 4, 1])
    data = prediction_pb2.DefaultData(tensor=tensor)
    return protobuf(f"protobuf {number}", prediction_pb2.SeldonMessage(data=data))


LAYOUTS: tuple[Layout, ...] = (
    Layout("small ints", _small_ints, SIZES),
    Layout("wide ints", _wide_ints, SIZES),
    Layout("two rows", _two_rows, _FEW_SIZES),
    Layout("tensor", _tensor, _FEW_SIZES),
    Layout("V2", _v2, _FEW_SIZES),
    Layout("protobuf", _protobuf, _FEW_SIZES),
)
