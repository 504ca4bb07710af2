"""Classes that transform requests or replies."""

from __future__ import annotations

from typing import Any

import numpy as np
from seldon_core.user_model import SeldonComponent, SeldonNotImplementedError, SeldonResponse

from tests.compatibility.classes.case import cases
from tests.compatibility.classes.raw import _text


class ScalesInput:
    def transform_input(self, rows: Any, names: Any) -> Any:
        return np.asarray(rows, dtype=np.float64) / 255

    def class_names(self) -> Any:
        return ["a", "b", "c"]


class InputWithMeta:
    def transform_input(self, rows: Any, names: Any, meta: Any = None) -> Any:
        return SeldonResponse(np.asarray(rows), tags={"seen": repr(meta)})

    def predict(self, rows: Any, names: Any) -> Any:
        raise RuntimeError("a transformer's predict is not called")


class InputToDict:
    def transform_input(self, rows: Any, names: Any) -> Any:
        return {"names": list(names), "rows": np.asarray(rows).tolist()}

    def feature_names(self) -> Any:
        return ["not", "used"]


class InputTagged:
    def transform_input(self, rows: Any, names: Any) -> Any:
        return np.asarray(rows)

    def tags(self) -> Any:
        return {"transformed": True}

    def metrics(self) -> Any:
        return [{"type": "COUNTER", "key": "transformed", "value": 1, "tags": {"a": "b"}}]


class InputRaw:
    def transform_input_raw(self, message: Any) -> Any:
        return _text(message, "raw input")


class InputRawUnimplemented:
    def transform_input_raw(self, message: Any) -> Any:
        raise SeldonNotImplementedError("not here")

    def transform_input(self, rows: Any, names: Any) -> Any:
        return np.asarray(rows) + 0


class InputUnimplemented:
    """Seldon hands the payload on."""

    def transform_input(self, rows: Any, names: Any) -> Any:
        raise SeldonNotImplementedError("not here")


class InputFails:
    def transform_input(self, rows: Any, names: Any) -> Any:
        raise ValueError("no")


class ComponentInput(SeldonComponent):  # type: ignore[misc]
    def transform_input(self, X: Any, names: Any, meta: Any = None) -> Any:  # noqa: N803
        return X


class LabelsOutput:
    def transform_output(self, rows: Any, names: Any) -> Any:
        return ["low" if row[0] < 3 else "high" for row in np.asarray(rows, dtype=np.float64)]


class OutputWithMeta:
    def transform_output(self, rows: Any, names: Any, meta: Any = None) -> Any:
        return SeldonResponse(np.asarray(rows), tags={"seen": repr(meta)})

    def predict(self, rows: Any, names: Any) -> Any:
        raise RuntimeError("a transformer's predict is not called")


class OutputRaw:
    def transform_output_raw(self, message: Any) -> Any:
        return _text(message, "raw output")


class ComponentOutput(SeldonComponent):  # type: ignore[misc]
    def transform_output(self, X: Any, names: Any, meta: Any = None) -> Any:  # noqa: N803
        return X


class DeclaredInput:
    """Transform methods are called message by message, whatever is declared."""

    row_wise = True

    def transform_input(self, rows: Any, names: Any) -> Any:
        return np.asarray(rows) - np.asarray(rows).mean()


TRANSFORMERS = cases(
    ScalesInput,
    InputWithMeta,
    InputToDict,
    InputTagged,
    InputRaw,
    InputRawUnimplemented,
    InputUnimplemented,
    InputFails,
    ComponentInput,
    DeclaredInput,
    service_type="TRANSFORMER",
) + cases(
    LabelsOutput,
    OutputWithMeta,
    OutputRaw,
    ComponentOutput,
    service_type="OUTPUT_TRANSFORMER",
)
