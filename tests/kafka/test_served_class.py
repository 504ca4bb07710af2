"""Wrapper classes are loaded as Seldon loads them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from kafka.load_class import ClassNotUsable, load_class
from kafka.messages import Prediction
from kafka.served_class import BadPrediction, check_rows


def parameters(*items: dict[str, str]) -> dict[str, str]:
    return {"PREDICTIVE_UNIT_PARAMETERS": json.dumps(list(items))}


def test_parameters_of_the_graph_reach_the_class() -> None:
    environ = parameters({"name": "model", "type": "STRING", "value": "other"})
    assert load_class("tests.classes.Tagged", environ).instance.model == "other"


@pytest.mark.parametrize(
    "environ", [{"PREDICTIVE_UNIT_PARAMETERS": "{"}, parameters({"name": "model"})]
)
def test_parameters_that_cannot_be_read_are_an_error(environ: dict[str, str]) -> None:
    with pytest.raises(ClassNotUsable, match="PREDICTIVE_UNIT_PARAMETERS"):
        load_class("tests.classes.Tagged", environ)


def test_a_row_tag_with_too_few_entries_is_refused() -> None:
    prediction = Prediction(np.ones((2, 1)), (), {"label": ["x"]}, ("label",), [])
    with pytest.raises(BadPrediction, match="1 entries for 2 rows"):
        check_rows(prediction, 2)


@pytest.mark.parametrize(
    ("data", "tags"), [(np.float32(1), {}), (np.array(1), {}), (np.ones(2), {"t": np.array("a")})]
)
def test_a_single_value_is_no_answer_row_by_row(data: Any, tags: dict[str, Any]) -> None:
    with pytest.raises(BadPrediction):
        check_rows(Prediction(data, (), tags, ("t",), []), 2)


def test_a_payload_is_described_in_the_classs_words_or_in_short() -> None:
    served = load_class("tests.classes.Double")
    assert served.describe("x" * 1000).endswith("…")
