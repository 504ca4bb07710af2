"""A Seldon Python wrapper class, loaded by name and called the way Seldon calls it."""

from __future__ import annotations

import base64
import contextlib
import importlib
import inspect
import json
import math
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray
from seldon_core import seldon_methods
from seldon_core.user_model import (
    SeldonComponent,
    SeldonResponse,
    client_class_names,
    client_custom_metrics,
    client_custom_tags,
    client_predict,
)

from kafka.messages import Payload, Prediction

PARAMETERS_VARIABLE = "PREDICTIVE_UNIT_PARAMETERS"
_PREDICT_METHOD = "predict"
_PARSERS: Dict[str, Callable[[str], Any]] = {
    "INT": int,
    "FLOAT": float,
    "DOUBLE": float,
    "STRING": str,
    "BOOL": lambda value: value.strip().lower() in ("1", "on", "t", "true", "y", "yes"),
}


class ClassNotUsable(Exception):
    """The class can't be imported or made; the message says why."""


class BadPrediction(Exception):
    """The class answered with something that can't be a reply."""


def load_class(name: str, environ: Optional[Mapping[str, str]] = None) -> ServedClass:
    """Imports, makes and loads a wrapper class.

    Args:
        name: `Module.Class`, or `Name` for a class `Name` in a module `Name`, as in Seldon's
            `MODEL_NAME`.
        environ: variables, for Seldon's `PREDICTIVE_UNIT_PARAMETERS`; none unless given.

    Raises:
        ClassNotUsable: there is no such class, or it can't be made or loaded.
    """
    module_name, _, class_name = name.rpartition(".")
    module_name = module_name or class_name
    parameters = _parameters((environ or {}).get(PARAMETERS_VARIABLE, "[]"))
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise ClassNotUsable(f"can't import {module_name!r} of {name!r}: {error}") from error
    if not hasattr(module, class_name):
        raise ClassNotUsable(f"module {module_name!r} has no class {class_name!r}")
    instance = getattr(module, class_name)(**parameters)
    if hasattr(instance, "load"):
        instance.load()
    return ServedClass(instance)


def _parameters(text: str) -> Dict[str, Any]:
    try:
        listed = json.loads(text)
        return {item["name"]: _PARSERS[item["type"]](item["value"]) for item in listed}
    except (ValueError, KeyError, TypeError) as error:
        raise ClassNotUsable(f"{PARAMETERS_VARIABLE} can't be read: {error!r}") from error


class ClassLeft(Exception):
    """The class called `sys.exit`."""


@contextlib.contextmanager
def _staying() -> Iterator[None]:
    """Turns the class's wish to end the process into a failure of its call."""
    try:
        yield
    except SystemExit as error:
        raise ClassLeft(f"the class called sys.exit({error.code!r})") from error


class _UncollectedMetrics:
    """Stands in for `seldon_core.metrics.SeldonMetrics`, which starts a process of its own.

    The class's metrics still travel in `meta.metrics`, from where Seldon's users read them.
    """

    def update(self, metrics: List[Dict[str, Any]], method: str) -> None:
        """Seldon's functions call this with what the class measured."""


class ServedClass:
    """One instance of a wrapper class, and what it can do.

    Attributes:
        instance: the instance.
        to_rows: turns any payload that `predict` takes into rows, if the class has it.
        stack_to_rows: the same for the payloads of many messages at once, each of as many rows:
            whole numbers from 0 to 255 as uint8 (messages, ...), or a list of bytes of one length.
        takes_raw: it composes whole replies itself (`predict_raw` and its older names).
        stacks: its rows may be stacked with those of other messages. Cleared by the pipeline
            when the class turns out to answer another number of rows than it got.
        why_alone: why it is called message by message, if it is.
    """

    def __init__(self, instance: Any) -> None:
        self.instance = instance
        self.to_rows: Optional[Callable[[Any], NDArray[Any]]] = getattr(instance, "to_rows", None)
        self.stack_to_rows: Optional[Callable[[Any], NDArray[Any]]] = getattr(
            instance, "stack_to_rows", None
        )
        self.row_tags: Tuple[str, ...] = tuple(getattr(instance, "row_tags", ()))
        # A class with `to_rows` says that `predict` on rows is all there is to it; its raw
        # methods then only serve formats that Seldon's own server does not know.
        self.takes_raw = self.to_rows is None and any(
            self._has(method) for method in ("predict_raw", "predict_rest", "predict_grpc")
        )
        self._takes_meta = _takes_meta(getattr(instance, "predict", None))
        self.why_alone = self._why_alone()
        self._metrics = _UncollectedMetrics()

    @property
    def stacks(self) -> bool:
        """Whether rows of several messages may go into one call."""
        return self.why_alone is None

    def call_alone(self, why: str) -> None:
        """From now on calls the class message by message, for this reason."""
        self.why_alone = why

    def _has(self, method: str) -> bool:
        found = getattr(type(self.instance), method, None)
        return found is not None and found is not getattr(SeldonComponent, method, None)

    def _why_alone(self) -> Optional[str]:
        if self._takes_meta:
            return "its predict takes meta, which differs from message to message"
        if self.takes_raw:
            return "it has predict_raw, which gets one whole message"
        for method in ("tags", "metrics"):
            if self._has(method):
                return f"it has a {method} method, which speaks of the latest call only"
        return None

    def predict_rows(self, rows: Any, names: Sequence[str]) -> Prediction:
        """Calls `predict` once.

        Args:
            rows: what `predict` takes as X.
            names: feature names.

        Returns:
            The prediction for all rows.

        Raises:
            BadPrediction: the answer is of no kind that Seldon knows.
            Exception: whatever the class raises.
        """
        with _staying():
            return self._finished(SeldonResponse.create(self.instance.predict(rows, list(names))))

    def predict_payload(self, payload: Payload) -> Prediction:
        """Answers one message, through Seldon's own functions.

        Raises:
            BadPrediction: the answer is of no kind that Seldon knows.
            Exception: whatever the class raises.
        """
        with _staying():
            return self._predict_payload(payload)

    def _predict_payload(self, payload: Payload) -> Prediction:
        if self.takes_raw:
            request = payload.request if payload.request is not None else _as_request(payload)
            reply = seldon_methods.predict(self.instance, request, self._metrics)
            return Prediction(reply, (), {}, (), [], raw=True)
        data = payload.data if self.to_rows is None else self.to_rows(payload.data)
        if self._takes_meta is False:
            prediction = self.predict_rows(data, payload.names)
        else:
            response = client_predict(self.instance, data, list(payload.names), meta=payload.meta)
            prediction = self._finished(response)
        if self.to_rows is not None:
            # What answers row by row, as `to_rows` says, has an answer for each.
            check_rows(prediction, len(data))
        return prediction

    def _finished(self, response: Any) -> Prediction:
        data = response.data
        if not isinstance(data, (np.ndarray, list, str, bytes, bytearray, dict)):
            raise BadPrediction(f"predict returned {type(data).__name__}, which is no reply")
        names: Sequence[str] = ()
        if isinstance(data, (np.ndarray, list)):
            rows = _rectangular(data)
            _check_finite(rows)
            names = [str(name) for name in client_class_names(self.instance, rows)]
        tags = {**self._own_tags(), **response.tags}
        metrics = client_custom_metrics(
            self.instance, self._metrics, _PREDICT_METHOD, response.metrics
        )
        return Prediction(data, names, tags, self.row_tags, metrics)

    def _own_tags(self) -> Dict[str, Any]:
        return dict(client_custom_tags(self.instance)) if self._has("tags") else {}

    def describe(self, payload: Any) -> str:
        """The payload in the class's own words (`describe`), else a short line of ours."""
        own = getattr(self.instance, "describe", None)
        if own is not None:
            return str(own(payload))
        text = repr(payload)
        return text if len(text) <= 200 else text[:200] + "…"


def _takes_meta(predict: Any) -> Optional[bool]:
    """Whether `predict` takes `meta`; None where that can't be seen."""
    try:
        parameters = inspect.signature(predict).parameters.values()
    except (TypeError, ValueError):
        return None
    return any(
        parameter.name == "meta" or parameter.kind is inspect.Parameter.VAR_KEYWORD
        for parameter in parameters
    )


def _as_request(payload: Payload) -> Dict[str, Any]:
    """A payload that came as bare bytes, as the Seldon message that carries it."""
    return {"binData": base64.b64encode(payload.data).decode("ascii")}


def _rectangular(data: Any) -> NDArray[Any]:
    try:
        return np.asarray(data)
    except ValueError as error:
        raise BadPrediction(f"predict returned rows that differ in length: {error}") from error


def _check_finite(rows: NDArray[Any]) -> None:
    # The sum is finite unless a value is not, or it overflows: then each value is looked at.
    if rows.dtype.kind in "fc" and rows.size and not math.isfinite(abs(rows.sum())):
        bad = ~np.isfinite(rows)
        if bad.any():
            raise BadPrediction(f"predict returned NaN or infinity {int(bad.sum())} times")


def check_rows(prediction: Prediction, total: int) -> None:
    """Checks that a prediction answers row by row.

    Args:
        prediction: what the class answered.
        total: how many rows it was asked about.

    Raises:
        BadPrediction: it has another number of rows, or of entries in a row tag.
    """
    if _count(prediction.data) != total:
        raise BadPrediction("the number of rows differs")
    for name in prediction.row_tags:
        if name in prediction.tags:
            count = _count(prediction.tags[name])
            if count != total:
                found = "no" if count is None else count
                raise BadPrediction(f"tag {name!r} has {found} entries for {total} rows")


def _count(entries: Any) -> Optional[int]:
    """How many there are; None if it is no sequence."""
    if isinstance(entries, np.ndarray):
        return len(entries) if entries.ndim else None
    return len(entries) if isinstance(entries, (list, tuple)) else None


def rows_of(prediction: Prediction, start: int, stop: int) -> Prediction:
    """Of a prediction that answers row by row: rows `start` to `stop`, and their tags."""
    if start == 0 and stop == len(prediction.data):
        return prediction
    tags = {
        name: entries[start:stop] if name in prediction.row_tags else entries
        for name, entries in prediction.tags.items()
    }
    return prediction._replace(data=prediction.data[start:stop], tags=tags)
