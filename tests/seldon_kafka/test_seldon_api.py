"""Seldon's objects are recognised, and handled as seldon_core handles them."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
from seldon_core import metrics as seldon_metrics
from seldon_core.env_utils import get_model_name
from seldon_core.flask_utils import SeldonMicroserviceException
from seldon_core.user_model import SeldonComponent, SeldonNotImplementedError, SeldonResponse
from seldon_core.utils import get_request_path
from werkzeug.http import http_date

import seldon_kafka
from seldon_kafka.codec.plain import frame_rows, plain
from seldon_kafka.pipeline.seldon_api import (
    checked_metrics,
    has_method,
    metric_labels,
    request_path,
    response_of,
    says_not_implemented,
)
from seldon_kafka.worker import model_metrics


class Columns:
    """A table whose columns have the names of the attributes of a response."""

    def __getattr__(self, name: str) -> Any:
        if name in ("data", "tags", "metrics"):
            return name
        raise AttributeError(name)


@pytest.mark.parametrize("kind", [SeldonResponse, seldon_kafka.Response])
def test_a_response_is_taken_as_it_is(kind: Any) -> None:
    given = kind([1], tags={"a": 1}, metrics=[{"type": "COUNTER", "key": "k", "value": 1}])
    assert response_of(given) is given
    bare = kind([1])
    assert (bare.data, bare.tags, bare.metrics) == ([1], {}, [])


@pytest.mark.parametrize("answer", [np.zeros(2), [1], "x", {"data": 1}, Columns(), None])
def test_every_other_answer_has_no_tags_and_no_metrics(answer: Any) -> None:
    found = response_of(answer)
    assert found.data is answer
    assert (found.tags, found.metrics) == ({}, [])


def test_a_method_that_a_component_only_inherits_does_not_count() -> None:
    class Mine(SeldonComponent):  # type: ignore[misc]
        def tags(self) -> Any:
            return {}

    instance = Mine()
    assert has_method(instance, "tags")
    assert not has_method(instance, "metrics")
    assert not has_method(instance, "no_such")
    instance.metrics = lambda: []
    assert has_method(instance, "metrics")


def test_a_users_base_class_may_have_seldons_name() -> None:
    class SeldonComponent:
        def predict(self, X: Any, names: Any) -> Any:  # noqa: N803
            return X

    class Mine(SeldonComponent):
        pass

    assert has_method(Mine(), "predict")


def test_the_response_and_the_error_are_seldons_in_seldons_server() -> None:
    response = seldon_kafka.Response([1], tags={"a": 1})
    assert SeldonResponse.create(response) is response
    error = seldon_kafka.UserModelError("no", status_code=422, reason="odd")
    assert isinstance(error, seldon_kafka.UserModelError)
    assert isinstance(error, SeldonMicroserviceException)
    assert (str(error), error.message, error.status_code) == ("no", "no", 422)
    assert error.to_dict()["status"]["reason"] == "odd"


def test_seldons_error_for_a_missing_method_is_known() -> None:
    assert says_not_implemented(SeldonNotImplementedError("predict is not implemented"))
    assert not says_not_implemented(NotImplementedError())


@pytest.mark.parametrize(
    "metrics",
    [
        [],
        [{"type": "COUNTER", "key": "k", "value": 1}],
        [{"type": "GAUGE", "key": "k", "value": np.float32(1)}],
        [{"type": "TIMER", "key": "k", "value": "1"}],
        [{"type": "OTHER", "key": "k", "value": 1}],
        [{"type": "COUNTER", "value": 1}],
        [{"type": "COUNTER", "key": "k", "value": None}],
        {"type": "COUNTER", "key": "k", "value": 1},
        None,
    ],
)
def test_the_metrics_that_seldon_takes_are_taken(metrics: Any) -> None:
    if seldon_metrics.validate_metrics(metrics):
        assert checked_metrics(metrics) is metrics
        return
    with pytest.raises(seldon_kafka.UserModelError, match="Bad metric") as raised:
        checked_metrics(metrics)
    assert (raised.value.status_code, raised.value.reason) == (500, "MICROSERVICE_BAD_METRIC")


def test_labels_and_buckets_are_seldons() -> None:
    assert metric_labels() == seldon_metrics.DEFAULT_LABELS
    assert tuple(map(float, seldon_metrics.BINS[1:])) == model_metrics._BUCKETS_S


@pytest.mark.parametrize("image", [None, "registry:5000/kmnist:0.1", "kmnist"])
def test_the_request_path_is_seldons(monkeypatch: pytest.MonkeyPatch, image: str | None) -> None:
    assert request_path() == get_request_path() == {}
    monkeypatch.setenv("PREDICTIVE_UNIT_ID", "node")
    if image:
        monkeypatch.setenv("PREDICTIVE_UNIT_IMAGE", image)
    assert get_model_name() == "node"
    assert request_path() == get_request_path()


@pytest.mark.parametrize(
    "moment",
    [
        datetime.date(2026, 11, 30),
        datetime.datetime(2026, 11, 30, 1, 2, 3, 999_999),
        datetime.datetime(2026, 1, 31, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=-9))),
    ],
)
def test_a_date_is_written_as_seldons_server_writes_it(moment: datetime.date) -> None:
    assert plain(moment, "answer", non_finite=False) == http_date(moment)


def test_a_table_is_its_rows_and_the_names_of_its_columns() -> None:
    table = frame_rows(pd.DataFrame({"a": [1.5, 2.5], "b": [3.0, 4.0]}))
    column = frame_rows(pd.Series([1, 2], name="c"))
    assert table is not None
    assert (table[0].tolist(), table[1]) == ([[1.5, 3.0], [2.5, 4.0]], ["a", "b"])
    assert column is not None
    assert (column[0].tolist(), column[1]) == ([[1], [2]], ["c"])
    assert frame_rows(np.zeros((1, 1))) is None
