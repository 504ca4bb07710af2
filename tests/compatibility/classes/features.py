"""What Seldon's wrapper looks for on a class: signatures, names, tags, metrics, loading."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import numpy as np
from seldon_core.user_model import SeldonComponent, SeldonNotImplementedError, SeldonResponse

from tests.compatibility.classes.case import Case, cases


class SeesAll:
    """Says how its arguments arrive."""

    def predict(self, rows: Any, names: Any, meta: Any = None) -> Any:
        seen: dict[str, Any] = {"kind": type(rows).__name__, "names": list(names)}
        seen["meta"] = repr(meta)
        if isinstance(rows, np.ndarray):
            seen["dtype"] = str(rows.dtype)
            seen["shape"] = list(rows.shape)
        seen["value"] = repr(rows.tolist() if isinstance(rows, np.ndarray) else rows)
        return seen


class SeesExactBytes:
    """The memory of the array, to the bit."""

    def predict(self, rows: Any, names: Any) -> Any:
        array = np.asarray(rows)
        return f"{array.dtype.str} {array.tobytes().hex()}" if array.dtype != object else "objects"


class WithKeywords:
    def predict(self, rows: Any, names: Any, **more: Any) -> Any:
        return {name: repr(value) for name, value in more.items()}


class WithArguments:
    def predict(self, *arguments: Any, **more: Any) -> Any:
        return [str(len(arguments)), *sorted(more)]


class WithMeta:
    def predict(self, rows: Any, names: Any, meta: Any) -> Any:
        return {"puid": (meta or {}).get("puid"), "tags": (meta or {}).get("tags")}


class WithSeldonNames:
    def predict(self, X: Any, features_names: Any) -> Any:  # noqa: N803
        return list(features_names)


def _remembering(function: Any) -> Any:
    @functools.wraps(function)
    def call(self: Any, rows: Any, names: Any, **more: Any) -> Any:
        self.puid = (more.get("meta") or {}).get("puid")
        return function(self, rows)

    return call


class DecoratedToTakeMeta:
    """Its decorator takes more than what it wraps."""

    puid = ""

    @_remembering
    def predict(self, rows: Any) -> Any:
        return {"puid": self.puid, "rows": repr(rows)}


def _waited_for(function: Any) -> Any:
    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        return asyncio.run(function(*arguments))

    return call


class AsyncInside:
    @_waited_for
    async def predict(self, rows: Any, names: Any) -> Any:
        await asyncio.sleep(0)
        return [[1, 2]]


class PredictAfterLoad:
    def load(self) -> None:
        self.predict = lambda rows, names: [[5, 6]]


class DelegatesAfterLoad:
    """Its methods are those of the model that it loads."""

    def load(self) -> None:
        self.model = StaticPredict()

    def __getattr__(self, name: str) -> Any:
        if name == "model":
            raise AttributeError(name)
        return getattr(self.model, name)


class NamesOfOurs:
    """Uses attribute names of the runtime for its own purposes."""

    row_tags = 5

    def constant_tags(self) -> list[str]:
        return ["a"]

    def to_rows(self, rows: Any, names: Any) -> Any:
        return [names, rows]

    def predict(self, rows: Any, names: Any) -> Any:
        return [[self.row_tags, len(self.constant_tags())]]


class ChangesAnswerInNames:
    """Uses its buffer again for what comes with an answer."""

    def __init__(self) -> None:
        self.buffer = np.zeros((1, 2))

    def predict(self, rows: Any, names: Any) -> Any:
        self.buffer[:] = 7
        return self.buffer

    def class_names(self) -> Any:
        self.buffer[:] = 0
        return ["a", "b"]


class TagsOfPairs:
    def predict(self, rows: Any, names: Any) -> Any:
        return SeldonResponse([[1]], tags=[("a", 1)])


class StaticPredict:
    @staticmethod
    def predict(rows: Any, names: Any) -> Any:
        return np.asarray(rows)


class ClassPredict:
    @classmethod
    def predict(cls, rows: Any, names: Any) -> Any:
        return np.asarray(rows)


class PredictFromInit:
    def __init__(self) -> None:
        self.predict = lambda rows, names: np.asarray(rows)


class PredictFromGetattr:
    """Hands all on to another object."""

    def __init__(self) -> None:
        self._wrapped = StaticPredict()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._wrapped, name)


class FailsWithMeta:
    """A TypeError makes Seldon call once more without `meta`."""

    def __init__(self) -> None:
        self.calls = 0

    def predict(self, rows: Any, names: Any, meta: Any = None) -> Any:
        self.calls += 1
        if meta is not None:
            raise TypeError("no meta, please")
        return [[self.calls]]


class Unimplemented:
    """Seldon answers an empty array."""

    def predict(self, rows: Any, names: Any) -> Any:
        raise SeldonNotImplementedError("not here")


class NamesMethod:
    def predict(self, rows: Any, names: Any) -> Any:
        return np.asarray(rows)

    def class_names(self) -> Any:
        return ["one", "two", "three"]


class NamesAttribute(StaticPredict):
    class_names = ("one", "two", "three")


class NamesProperty(StaticPredict):
    @property
    def class_names(self) -> Any:
        return ["one", "two"]


class NamesFromInit(StaticPredict):
    def __init__(self) -> None:
        self.class_names = ["from", "init"]


class NamesFromGetattr(StaticPredict):
    def __getattr__(self, name: str) -> Any:
        if name == "class_names":
            return ["from", "getattr"]
        raise AttributeError(name)


class NamesUnimplemented(StaticPredict):
    def class_names(self) -> Any:
        raise SeldonNotImplementedError("none")


class NamesOfNumbers(StaticPredict):
    def class_names(self) -> Any:
        return [1, 2.5, None, True]


class NamesEmpty(StaticPredict):
    def class_names(self) -> Any:
        return []


class NamesTuple(StaticPredict):
    def class_names(self) -> Any:
        return ("one", "two")


class NamesArray(StaticPredict):
    def class_names(self) -> Any:
        return np.array(["one", "two"])


class NamesNone(StaticPredict):
    class_names = None


class NamesFail(StaticPredict):
    def class_names(self) -> Any:
        raise KeyError("names")


class StaticNames(StaticPredict):
    """Seldon takes what is no bound method for the names themselves."""

    @staticmethod
    def class_names() -> Any:
        return ["one", "two"]


class TagsDict(StaticPredict):
    def tags(self) -> Any:
        return {"model": "tagged", "list": [1, "two", None], "nested": {"deep": [0.5]}}


class TagsNone(StaticPredict):
    def tags(self) -> Any:
        return None


class TagsEmpty(StaticPredict):
    def tags(self) -> Any:
        return {}


class TagsOfCall:
    def __init__(self) -> None:
        self._shape: list[int] = []

    def predict(self, rows: Any, names: Any) -> Any:
        self._shape = list(np.shape(rows))
        return np.asarray(rows)

    def tags(self) -> Any:
        return {"shape": self._shape}


class TagsFromInit(StaticPredict):
    def __init__(self) -> None:
        self.tags = lambda: {"from": "init"}


class TagsFail(StaticPredict):
    def tags(self) -> Any:
        raise RuntimeError("no tags")


class TagsList(StaticPredict):
    def tags(self) -> Any:
        return ["no", "dict"]


class TagsBoth:
    """Tags of the call stand over those of the class, those over the sender's."""

    def predict(self, rows: Any, names: Any) -> Any:
        return SeldonResponse(np.asarray(rows), tags={"origin": "call", "call": 1})

    def tags(self) -> Any:
        return {"origin": "class", "class": 2}


class ResponseOfText:
    def predict(self, rows: Any, names: Any) -> Any:
        return SeldonResponse("text", tags={"a": "b"})


class ResponseOfDict:
    def predict(self, rows: Any, names: Any) -> Any:
        metrics = [{"type": "TIMER", "key": "ms", "value": 1.5}]
        return SeldonResponse({"a": [1, 2]}, tags={"n": 0}, metrics=metrics)


class ResponseOfBytes:
    def predict(self, rows: Any, names: Any) -> Any:
        return SeldonResponse(b"bytes", tags={"n": 0})


class MetricsOfAllTypes(StaticPredict):
    def metrics(self) -> Any:
        return [
            {"type": "COUNTER", "key": "calls", "value": 1},
            {"type": "GAUGE", "key": "level", "value": 2.5},
            {"type": "TIMER", "key": "time", "value": 20.25},
        ]


class MetricsWithTags(StaticPredict):
    def metrics(self) -> Any:
        return [{"type": "GAUGE", "key": "level", "value": 2, "tags": {"zone": "north"}}]


class MetricsBoth:
    def predict(self, rows: Any, names: Any) -> Any:
        metrics = [{"type": "COUNTER", "key": "call", "value": 1}]
        return SeldonResponse(np.asarray(rows), metrics=metrics)

    def metrics(self) -> Any:
        return [{"type": "COUNTER", "key": "class", "value": 2}]


class MetricsNone(StaticPredict):
    def metrics(self) -> Any:
        return None


class MetricsEmpty(StaticPredict):
    def metrics(self) -> Any:
        return []


class MetricsOfUnknownType(StaticPredict):
    def metrics(self) -> Any:
        return [{"type": "SUMMARY", "key": "level", "value": 2}]


class MetricsWithoutValue:
    def predict(self, rows: Any, names: Any) -> Any:
        return SeldonResponse(np.asarray(rows), metrics=[{"type": "GAUGE", "key": "level"}])


class FeatureNames(StaticPredict):
    """Seldon looks at these for requests only."""

    def feature_names(self) -> Any:
        return ["a", "b"]


class Metadata(StaticPredict):
    def init_metadata(self) -> Any:
        return {"name": "model", "versions": ["1"], "platform": "test"}


class Loads:
    def load(self) -> None:
        self.ready = "loaded"

    def predict(self, rows: Any, names: Any) -> Any:
        return self.ready


class LoadUnimplemented(StaticPredict):
    def load(self) -> None:
        raise NotImplementedError


class LoadNotThere(StaticPredict):
    """Seldon passes over an AttributeError in `load`."""

    def load(self) -> None:
        raise AttributeError("no such thing")


class Configured:
    def __init__(self, factor: float = 1.0, offset: int = 0, label: str = "", on: bool = False):
        self._settings = [repr(value) for value in (factor, offset, label, on)]

    def predict(self, rows: Any, names: Any) -> Any:
        return self._settings


class ComponentPredict(SeldonComponent):  # type: ignore[misc]
    def predict(self, X: Any, names: Any, meta: Any = None) -> Any:  # noqa: N803
        return np.asarray(X)


class ComponentNames(ComponentPredict):
    def class_names(self) -> Any:
        return ["one", "two", "three"]


class ComponentTags(ComponentPredict):
    def tags(self) -> Any:
        return {"component": True}


class ComponentMetrics(ComponentPredict):
    def metrics(self) -> Any:
        return [{"type": "COUNTER", "key": "calls", "value": 1}]


class ComponentLoad(ComponentPredict):
    def load(self) -> None:
        self.row = [1.5, 2.5]

    def predict(self, X: Any, names: Any, meta: Any = None) -> Any:  # noqa: N803
        return [self.row]


class ComponentFeatureNames(ComponentPredict):
    def feature_names(self) -> Any:
        return ["a"]


class ComponentWithoutMeta(SeldonComponent):  # type: ignore[misc]
    def predict(self, X: Any, names: Any) -> Any:  # noqa: N803
        return np.asarray(X) + 0


class ComponentFailsInTags(ComponentPredict):
    def tags(self) -> Any:
        raise SeldonNotImplementedError("none today")


FEATURES = (
    *cases(
        SeesAll,
        SeesExactBytes,
        WithKeywords,
        WithArguments,
        WithMeta,
        WithSeldonNames,
        StaticPredict,
        PredictFromGetattr,
        Unimplemented,
        NamesMethod,
        TagsBoth,
        Loads,
        LoadUnimplemented,
        LoadNotThere,
        ComponentPredict,
    ),
    *cases(
        DecoratedToTakeMeta,
        AsyncInside,
        PredictAfterLoad,
        DelegatesAfterLoad,
        NamesOfOurs,
        ChangesAnswerInNames,
        TagsOfPairs,
        ClassPredict,
        PredictFromInit,
        NamesAttribute,
        NamesProperty,
        NamesFromInit,
        NamesFromGetattr,
        NamesUnimplemented,
        NamesOfNumbers,
        NamesEmpty,
        NamesTuple,
        NamesArray,
        NamesNone,
        NamesFail,
        StaticNames,
        TagsDict,
        TagsNone,
        TagsEmpty,
        TagsOfCall,
        TagsFromInit,
        TagsFail,
        TagsList,
        ResponseOfText,
        ResponseOfDict,
        ResponseOfBytes,
        MetricsOfAllTypes,
        MetricsWithTags,
        MetricsBoth,
        MetricsNone,
        MetricsEmpty,
        MetricsOfUnknownType,
        MetricsWithoutValue,
        FeatureNames,
        Metadata,
        ComponentNames,
        ComponentTags,
        ComponentMetrics,
        ComponentLoad,
        ComponentFeatureNames,
        ComponentWithoutMeta,
        ComponentFailsInTags,
        is_about_replies=True,
    ),
    *cases(FailsWithMeta, counts_calls=True),
    Case(
        "Configured",
        Configured,
        parameters=(
            ("factor", "2.5", "FLOAT"),
            ("offset", "3", "INT"),
            ("label", "x", "STRING"),
            ("on", "true", "BOOL"),
        ),
    ),
)
