"""The reference is Seldon's own server, and the comparison sees what it is to see."""

from __future__ import annotations

from typing import Any

import pytest
from seldon_core.wrapper import get_rest_microservice

from tests.compatibility.answer import Rejection, Reply, json_reply
from tests.compatibility.classes import CLASSES, Case
from tests.compatibility.comparison import alike, same
from tests.compatibility.pairs import expectations
from tests.compatibility.payloads import PAYLOADS, Payload
from tests.compatibility.seldon import LocalMetrics, made

pytestmark = pytest.mark.filterwarnings("ignore")

_JSON = [payload for payload in PAYLOADS if payload.route == "seldon-json"]


@pytest.mark.parametrize("name", ["SeesAll", "RawEcho", "HandlesErrors", "MetricsWithTags"])
def test_the_reference_answers_as_flasks_test_client_gets_it(name: str) -> None:
    (case,) = (case for case in CLASSES if case.name == name)
    for payload in _JSON:
        found = _over_test_client(case, payload)
        assert same(expectations(case).of_seldon(payload), found), payload.name


def _over_test_client(case: Case, payload: Payload) -> Rejection | Reply:
    client = get_rest_microservice(made(case), LocalMetrics()).test_client()
    response = client.post("/predict", data=payload.value, content_type="application/json")
    if response.status_code >= 400:
        return Rejection(f"http {response.status_code}", response.text, True)
    return json_reply(response.data)


@pytest.mark.parametrize(
    ("expected", "found", "is_alike"),
    [
        (2, 2.0, False),
        (True, 1, False),
        (1.0, 1.00001, True),
        (1.0, 1.001, False),
        (1e6, 1e6 + 50, True),
        (0.0, 2e-5, False),
        (float("nan"), float("nan"), True),
        (float("inf"), float("-inf"), False),
        ("1", 1, False),
        (None, 0, False),
        ([1, 2], [1, 2, 3], False),
        ([[1.0]], [1.0], False),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ({"a": 1}, {"a": 1, "b": None}, False),
    ],
)
def test_documents_are_compared_by_form_kind_and_value(
    expected: Any, found: Any, is_alike: bool
) -> None:
    assert alike(expected, found) is is_alike
