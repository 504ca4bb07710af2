"""User models are loaded as Seldon loads them."""

from __future__ import annotations

import functools
import json
from typing import Any

import numpy as np
import pytest

from seldon_kafka.errors import BadPrediction
from seldon_kafka.messages import Prediction
from seldon_kafka.pipeline.load_class import ClassNotUsable, load_class
from seldon_kafka.pipeline.stacking import check_rows


def parameters(*items: dict[str, str]) -> dict[str, str]:
    return {"PREDICTIVE_UNIT_PARAMETERS": json.dumps(list(items))}


def test_parameters_of_the_graph_reach_the_class() -> None:
    environ = parameters({"name": "model", "type": "STRING", "value": "other"})
    assert load_class("tests.support.classes.Tagged", environ).instance.model == "other"


@pytest.mark.parametrize(
    "environ", [{"PREDICTIVE_UNIT_PARAMETERS": "{"}, parameters({"name": "model"})]
)
def test_parameters_that_cannot_be_read_are_an_error(environ: dict[str, str]) -> None:
    with pytest.raises(ClassNotUsable, match="PREDICTIVE_UNIT_PARAMETERS"):
        load_class("tests.support.classes.Tagged", environ)


def test_a_row_tag_with_too_few_entries_is_refused() -> None:
    prediction = Prediction(np.ones((2, 1)), (), {"label": ["x"]}, ("label",), [])
    with pytest.raises(BadPrediction, match="1 entries for 2 rows"):
        check_rows(prediction, 2)


@pytest.mark.parametrize(
    ("data", "tags"), [(np.float32(1), {}), (np.array(1), {}), (np.ones(2), {"t": np.array("a")})]
)
def test_a_single_value_is_not_a_row_wise_answer(data: Any, tags: dict[str, Any]) -> None:
    with pytest.raises(BadPrediction):
        check_rows(Prediction(data, (), tags, ("t",), []), 2)


def test_a_payload_is_described_by_the_class_or_in_short() -> None:
    served = load_class("tests.support.classes.Double")
    assert served.describe("x" * 1000).endswith("…")


@pytest.mark.parametrize("word", ["banana", "2", ""])
def test_a_parameter_that_is_not_a_bool_is_refused(word: str) -> None:
    environ = parameters({"name": "model", "type": "BOOL", "value": word})
    with pytest.raises(ClassNotUsable, match="no BOOL"):
        load_class("tests.support.classes.Tagged", environ)


class Served:
    """A class without any method."""


class TakesRowsOnly:
    def predict(self, X: Any) -> Any:  # noqa: N803
        return X


class Partial:
    def __init__(self) -> None:
        self.predict = functools.partial(self._predict, 2)

    async def _predict(self, factor: int, X: Any, names: Any) -> Any:  # noqa: N803
        return X


class SetInInit:
    def __init__(self) -> None:
        self.predict = lambda X, names: X  # noqa: N803

    def load(self) -> None:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("name", "environ", "why"),
    [
        ("Served", {}, "has no predict method"),
        ("TakesRowsOnly", {}, r"TakesRowsOnly.predict\(.*\).* can't be called"),
        ("Partial", {}, "async function"),
        ("SetInInit", {"SERVICE_TYPE": "COMBINER"}, "SERVICE_TYPE=COMBINER can't be served"),
        ("SetInInit", {"SERVICE_TYPE": "TRANSFORMER"}, "has no transform_input method"),
    ],
)
def test_a_class_that_would_fail_at_each_message_is_refused(
    name: str, environ: dict[str, str], why: str
) -> None:
    with pytest.raises(ClassNotUsable, match=why):
        load_class(f"{__name__}.{name}", environ)


def test_methods_may_be_set_in_init_and_load_may_not_be_implemented() -> None:
    assert load_class(f"{__name__}.SetInInit").why_single
