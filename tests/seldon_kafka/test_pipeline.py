"""The pipeline answers each record once, alone or in a batch, or rejects it with a reason."""

from __future__ import annotations

import datetime
import decimal
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from seldon_core import seldon_methods
from seldon_core.metrics import SeldonMetrics
from seldon_core.proto.prediction_pb2 import SeldonMessage
from seldon_core.user_model import SeldonResponse

from seldon_kafka.errors import Retriable
from seldon_kafka.messages import Record, Reply
from seldon_kafka.pipeline import user_model
from seldon_kafka.pipeline.pipeline import Pipeline
from seldon_kafka.pipeline.seldon_api import SERVICES
from seldon_kafka.pipeline.stack_check import NoCheck
from seldon_kafka.pipeline.user_model import UserModel
from tests.image.text.TextClassifier import TextClassifier
from tests.support import classes
from tests.support.records import answers, ndarray, pipeline, record, rejection


def test_rows_of_many_messages_go_into_one_call_and_come_back_to_their_messages() -> None:
    tagged = classes.Tagged()
    records = [ndarray([[n, 0]] * (1 + n % 3), n) for n in range(10)]
    outcomes = pipeline(tagged, check=NoCheck()).run(records).outcomes
    assert tagged.calls == [sum(1 + n % 3 for n in range(10))]
    for n, answer in enumerate(answers(outcomes)):
        assert answer["data"]["ndarray"] == [[float(n), 0.0]] * (1 + n % 3)
        assert answer["data"]["names"] == ["first", "second"]
        parity = "odd" if n % 2 else "even"
        assert answer["meta"]["tags"] == {"parity": [parity] * (1 + n % 3), "model": "tagged"}


def test_messages_of_different_shapes_or_types_are_stacked_separately() -> None:
    tagged = classes.Tagged()
    records = [ndarray([[1, 2]]), ndarray([[1, 2, 3]]), ndarray([[1.5, 2]]), ndarray([[3, 4]])]
    replies = answers(pipeline(tagged, check=NoCheck()).run(records).outcomes)
    assert sorted(tagged.calls) == [1, 1, 2]
    assert [reply["data"]["ndarray"][0][0] for reply in replies] == [1, 1, 1.5, 3]


def test_bad_messages_leave_their_neighbours_unharmed() -> None:
    records = [ndarray([[1]], 0), record(b"nonsense", 1), record(None, 2), ndarray([[2]], 3)]
    outcomes = pipeline(classes.Double()).run(records).outcomes
    first, second, third, fourth = answers(outcomes)
    assert (first["data"]["ndarray"], fourth["data"]["ndarray"]) == ([[2]], [[4]])
    assert (second, third) == ("not_json", "tombstone")


def test_the_message_that_makes_the_class_raise_is_found_and_the_others_are_answered() -> None:
    numbers = list(range(20, 50))
    numbers[17] = 666
    outcomes = pipeline(classes.Moody()).run([ndarray([[n]], n) for n in numbers]).outcomes
    guilty = rejection(outcomes[17])
    assert guilty.reason == "predict_failed"
    assert "the number of the beast" in guilty.message
    assert guilty.failed
    replies = [item for item in outcomes if isinstance(item, Reply)]
    assert len(replies) == 29


def test_nan_in_an_answer_is_a_failure_of_the_class_for_that_message_alone() -> None:
    outcomes = pipeline(classes.Moody()).run([ndarray([[1]]), ndarray([[13]])]).outcomes
    assert isinstance(outcomes[0], Reply)
    assert rejection(outcomes[1]).reason == "bad_prediction"


def test_a_temporary_error_rejects_no_message(tmp_path: Path, monkeypatch: Any) -> None:
    down = tmp_path / "down"
    down.touch()
    monkeypatch.setenv("MOODY_DOWN", str(down))
    moody = pipeline(classes.Moody())
    records = [ndarray([[1]]), ndarray([[503]])]
    with pytest.raises(Retriable, match="feature store"):
        moody.run(records)
    down.unlink()
    assert all(isinstance(item, Reply) for item in moody.run(records).outcomes)


@pytest.mark.parametrize(
    "instance", [classes.Total(), classes.TakesMeta(), classes.Raw(), TextClassifier()]
)
def test_a_class_that_stacking_would_change_is_called_message_by_message(instance: Any) -> None:
    records = [ndarray([[1, 2], [3, 4]], n) for n in range(3)]
    if isinstance(instance, TextClassifier):
        records = [ndarray(["This is an input"], n) for n in range(3)]
    together = pipeline(instance).run(records).outcomes
    apart = [pipeline(instance).run([item]).outcomes[0] for item in records]
    assert answers(together) == answers(apart)


def test_a_text_classifier_answers_as_seldons_documentation_shows() -> None:
    (answer,) = answers(pipeline(TextClassifier()).run([ndarray(["This is an input"])]).outcomes)
    assert answer["data"]["names"] == ["t:0", "t:1"]
    (row,) = answer["data"]["ndarray"]
    assert row[0] > 0.5
    assert sum(row) == pytest.approx(1)
    assert answer["meta"]["puid"]


def test_the_answer_is_the_one_that_seldons_own_server_gives() -> None:
    cases: list[tuple[Any, list[list[float]]]] = [
        (classes.Double(), [[1, 2], [3, 4]]),
        (classes.Tagged(), [[1.5, 2.5]]),
        (classes.Total(), [[1, 2], [3, 4]]),
    ]
    for instance, rows in cases:
        for request in (
            {
                "data": {"names": ["a", "b"], "ndarray": rows},
                "meta": {"puid": "x", "tags": {"t": 1}},
            },
            {
                "data": {
                    "tensor": {
                        "shape": [len(rows), 2],
                        "values": [value for row in rows for value in row],
                    }
                }
            },
        ):
            expected = seldon_methods.predict(instance, request, SeldonMetrics())
            outcome = pipeline(instance).run([record(json.dumps(request).encode())]).outcomes
            (answer,) = answers(outcome)
            if "puid" not in expected["meta"]:
                expected["meta"]["puid"] = answer["meta"]["puid"]
            assert answer == json.loads(json.dumps(expected, default=list))


def test_a_puid_is_kept_or_created_and_is_the_same_after_a_retry() -> None:
    double = pipeline(classes.Double())
    sent = record(b'{"meta":{"puid":"mine"},"data":{"ndarray":[[1]]}}')
    made = [ndarray([[1]], 5), ndarray([[1]], 6)]
    first = answers(double.run([sent, *made]).outcomes)
    again = answers(double.run([sent, *made]).outcomes)
    puids = [answer["meta"]["puid"] for answer in first]
    assert puids[0] == "mine"
    assert len(set(puids)) == 3
    assert puids == [answer["meta"]["puid"] for answer in again]


def test_batching_can_be_switched_off() -> None:
    tagged = classes.Tagged()
    pipeline(tagged, batching="off").run([ndarray([[n, 0]]) for n in range(4)])
    assert tagged.calls == [1, 1, 1, 1]


@given(st.lists(st.lists(st.integers(14, 499), min_size=1, max_size=5), min_size=1, max_size=20))
def test_every_answer_is_the_same_alone_and_in_any_batch(numbers: list[list[int]]) -> None:
    records = [ndarray([[n, -n] for n in rows], place) for place, rows in enumerate(numbers)]
    moody = pipeline(classes.Moody())
    together = answers(moody.run(records).outcomes)
    apart = [answers(moody.run([item]).outcomes)[0] for item in records]
    assert together == apart


def test_an_error_of_the_class_is_its_failure() -> None:
    (outcome,) = pipeline(classes.Double()).run([record(b'{"jsonData":{"a":1}}')]).outcomes
    assert rejection(outcome).reason == "predict_failed"


def test_seconds_and_rows_are_counted() -> None:
    batch = pipeline(classes.Double()).run([ndarray(np.ones((3, 2)).tolist())] * 2)
    assert batch.rows == 6
    assert set(batch.seconds) == {"decode", "predict", "encode"}


class Leaves:
    """Calls `sys.exit` at a 3."""

    row_wise = True

    def predict(self, X: Any, names: Any) -> Any:  # noqa: N803
        if (np.asarray(X) == 3).any():
            sys.exit(3)
        return X


class Lists:
    """Its `to_rows` returns lists."""

    def to_rows(self, payload: Any) -> Any:
        return payload.tolist()

    def predict(self, X: Any, names: Any) -> Any:  # noqa: N803
        return X


def test_a_class_that_ends_the_process_fails_only_at_that_message() -> None:
    records = [ndarray([[1]], 0), ndarray([[3]], 1), ndarray([[5]], 2)]
    first, second, third = pipeline(Leaves()).run(records).outcomes
    assert isinstance(first, Reply)
    assert isinstance(third, Reply)
    assert "sys.exit(3)" in rejection(second).message


def test_rows_may_come_as_lists() -> None:
    first, second = answers(pipeline(Lists()).run([ndarray([[1]]), ndarray([[2]])]).outcomes)
    assert (first["data"]["ndarray"], second["data"]["ndarray"]) == ([[1]], [[2]])


def test_rows_of_narrow_types_are_not_widened_by_their_neighbours() -> None:
    def request(datatype: str) -> Record:
        tensor = {"name": "x", "shape": [1, 1], "datatype": datatype, "data": [250]}
        return record(json.dumps({"inputs": [tensor]}).encode())

    double = classes.Double()
    together = answers(pipeline(double).run([request("UINT8"), request("UINT16")]).outcomes)
    apart = answers(pipeline(double).run([request("UINT8")]).outcomes)
    assert together[0]["outputs"] == apart[0]["outputs"]


@pytest.mark.parametrize("meta", [{"tags": [1]}, {"metrics": 5}])
def test_invalid_meta_of_a_sender_is_not_a_failure_of_the_class(meta: Any) -> None:
    value = json.dumps({"meta": meta, "data": {"ndarray": [[1]]}}).encode()
    (outcome,) = pipeline(classes.Double()).run([record(value)]).outcomes
    assert rejection(outcome).reason == "bad_value"
    assert not rejection(outcome).failed


class Picky:
    """Declares by `to_rows` that it is row-wise, and answers one row less for a 7."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def to_rows(self, payload: Any) -> Any:
        return np.asarray(payload)

    def predict(self, X: Any, names: Any) -> Any:  # noqa: N803
        self.calls.append(len(X))
        return X[:-1] if (X == 7).any() else X


@pytest.mark.parametrize("batching", ["auto", "off"])
def test_one_message_with_an_answer_of_the_wrong_shape_is_found_among_its_neighbours(
    batching: str,
) -> None:
    picky = Picky()
    tried = pipeline(picky, batching=batching, check=NoCheck())
    found = answers(tried.run([ndarray([[n]]) for n in range(16)]).outcomes)
    assert found[7] == "bad_prediction"
    assert [answer["data"]["ndarray"] for answer in found[:7] + found[8:]] == [
        [[n]] for n in range(16) if n != 7
    ]
    picky.calls.clear()
    tried.run([ndarray([[n]]) for n in range(10, 20)])
    assert picky.calls == ([10] if batching == "auto" else [1] * 10), (
        "one bad answer ends no batching"
    )


def test_metrics_that_the_reply_does_not_show_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    class Counting(classes.Double):
        def to_rows(self, payload: Any) -> Any:
            return np.asarray(payload)

        def predict(self, X: Any, names: Any) -> Any:  # noqa: N803
            return SeldonResponse(X, metrics=[{"type": "COUNTER", "key": "seen", "value": 2}])

    monkeypatch.setattr(user_model, "INCLUDES_METRICS", False)
    (reply,) = pipeline(Counting()).run([ndarray([[1]])]).outcomes
    assert isinstance(reply, Reply)
    assert [(each["key"], each["value"]) for each in reply.metrics] == [("seen", 2)]
    assert "metrics" not in json.loads(reply.value)["meta"]


def test_a_message_without_rows_is_answered_beside_others() -> None:
    class Flat(classes.Double):
        def to_rows(self, payload: Any) -> Any:
            return np.asarray(payload, dtype=np.int64).reshape(-1, 2)

    found = answers(pipeline(Flat()).run([ndarray([[1, 2]], 1), ndarray([], 2)]).outcomes)
    assert [answer["data"]["ndarray"] for answer in found] == [[[2, 4]], []]


class _Mute(Exception):
    def __str__(self) -> str:
        return self.text  # type: ignore[attr-defined, no-any-return]


class _Wordless(Exception):
    def __str__(self) -> str:
        return None  # type: ignore[return-value]


class _OddReason(Exception):
    reason = np.array([1, 2])


class Raises:
    error: type[Exception] = _Mute

    def predict(self, rows: Any, names: Any) -> Any:
        if rows[0][0] == 1:
            raise self.error
        return rows


@pytest.mark.parametrize("error", [_Mute, _Wordless, _OddReason])
def test_an_exception_that_cannot_be_written_rejects_only_its_message(
    error: type[Exception],
) -> None:
    raising = Raises()
    raising.error = error
    outcomes = pipeline(raising).run([ndarray([[1]], 0), ndarray([[2]], 1)]).outcomes
    assert rejection(outcomes[0]).message == error.__name__
    assert isinstance(outcomes[1], Reply)


class LeavesInToRows:
    def to_rows(self, payload: Any) -> Any:
        if payload[0][0] == 1:
            sys.exit(3)
        return payload

    def predict(self, rows: Any, names: Any) -> Any:
        return rows


def test_a_class_that_ends_the_process_in_to_rows_fails_only_at_that_message() -> None:
    outcomes = pipeline(LeavesInToRows()).run([ndarray([[n]], n) for n in range(3)]).outcomes
    assert "sys.exit(3)" in rejection(outcomes[1]).message
    assert [type(each) for each in outcomes].count(Reply) == 2


class WritesMeta:
    def __init__(self, value: Any) -> None:
        self.value = value

    def predict(self, rows: Any, names: Any, meta: Any) -> Any:
        meta["tags"]["added"] = self.value
        return rows


@pytest.mark.parametrize(
    ("value", "written"),
    [(decimal.Decimal("1.5"), "1.5"), (datetime.date(2024, 2, 29), "Thu, 29 Feb 2024")],
)
def test_values_that_a_class_writes_into_meta_become_plain(value: Any, written: str) -> None:
    sent = record(b'{"meta":{"tags":{"sent":1}},"data":{"ndarray":[[1]]}}')
    (reply,) = answers(pipeline(WritesMeta(value)).run([sent]).outcomes)
    assert str(reply["meta"]["tags"]["added"]).startswith(written)
    assert reply["meta"]["tags"]["sent"] == 1


def test_numbers_that_json_lacks_are_refused_in_meta() -> None:
    written = record(b'{"meta":{"tags":{"sent":1}},"data":{"ndarray":[[1]]}}')
    (outcome,) = pipeline(WritesMeta(float("nan"))).run([written]).outcomes
    assert rejection(outcome).message == "BadPrediction: meta.tags.added is nan"
    sent = record(b'{"meta":{"tags":{"sent":NaN}},"data":{"ndarray":[[1]]}}')
    (outcome,) = pipeline(classes.Double()).run([sent]).outcomes
    assert (rejection(outcome).reason, rejection(outcome).failed) == ("bad_value", False)


class AnswersRaw:
    """Reports a metric that is not a number, in the format of the message."""

    def predict_raw(self, message: Any) -> Any:
        metric = {"type": "GAUGE", "key": "k", "value": float("nan")}
        if isinstance(message, dict):
            return {"data": {"ndarray": [[1]]}, "meta": {"metrics": [metric]}}
        message.meta.metrics.add(type="GAUGE", key="k", value=float("nan"))
        return message


_RAW = [
    record(b'{"data":{"ndarray":[[1]]}}'),
    record(
        SeldonMessage(strData="x").SerializeToString(),
        headers=(("content-type", b"application/x-protobuf"),),
    ),
]


@pytest.mark.parametrize("sent", _RAW, ids=["JSON", "protobuf"])
def test_a_metric_that_is_not_a_number_rejects_a_raw_reply_or_is_left_out(sent: Record) -> None:
    (outcome,) = pipeline(AnswersRaw()).run([sent]).outcomes
    assert rejection(outcome).reason == "bad_prediction"
    assert "metrics[0]" in rejection(outcome).message
    keeping = Pipeline(UserModel(AnswersRaw(), null_non_finite=True), 100_000)
    (outcome,) = keeping.run([sent]).outcomes
    assert isinstance(outcome, Reply)
    assert b"GAUGE" not in outcome.value and b"\x01k" not in outcome.value


_MASKED: Any = np.ma


class AnswersMaskedTexts:
    def predict(self, rows: Any, names: Any) -> Any:
        return _MASKED.masked_array([["a", "secret"]], mask=[[0, 1]])


class AnswersListOfMasked:
    def predict(self, rows: Any, names: Any) -> Any:
        return list(_MASKED.masked_array([[1.5, 99.0]], mask=[[0, 1]]))


@pytest.mark.parametrize("kind", ["ndarray", "tensor"])
@pytest.mark.parametrize("instance", [AnswersMaskedTexts(), AnswersListOfMasked()])
def test_masked_values_are_never_published(instance: Any, kind: str) -> None:
    data = {"ndarray": [[1]], "tensor": {"shape": [1], "values": [1]}}[kind]
    sent = record(json.dumps({"data": {kind: data}}).encode())
    (outcome,) = pipeline(instance).run([sent]).outcomes
    assert isinstance(outcome, Reply)
    assert json.loads(outcome.value)["data"]["ndarray"] in ([["a", None]], [[1.5, None]])


class TransformsWithToRows:
    def to_rows(self, payload: Any) -> Any:
        raise AssertionError("it belongs to predict")

    def transform_input(self, rows: Any, names: Any) -> Any:
        return [[len(rows)]]


def test_to_rows_concerns_only_predict() -> None:
    served = UserModel(TransformsWithToRows(), SERVICES["TRANSFORMER"])
    (reply,) = answers(Pipeline(served, 100_000).run([ndarray([[1], [2]])]).outcomes)
    assert reply["data"]["ndarray"] == [[2]]
