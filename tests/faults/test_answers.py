"""The comparison of replies with the right answers."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from seldon_core.proto import prediction_pb2

from model.chosen import chosen_artefact
from seldon_kafka.messages import Reply, header
from seldon_kafka.pipeline.pipeline import Pipeline
from seldon_kafka.pipeline.user_model import UserModel
from tests.faults import answers, images
from tests.faults.user_models import FOLDER, REPLICA, Buffered, Faulty, KillPoints, NotRowWise
from tests.support.records import record
from wrapper import KmnistClassifier

# Messages of the load repeat after this number.
_PERIOD = math.lcm(len(images.MIX), images.count())


def replies(numbers: range) -> list[Reply]:
    """Returns the replies to messages of the load, from one batch."""
    classifier = KmnistClassifier()
    classifier.load()
    encoded = [(number, images.message(number)) for number in numbers]
    records = [record(each.value, number, each.headers) for number, each in encoded]
    outcomes = Pipeline(UserModel(classifier), 1_000_000).run(records).outcomes
    return [outcome for outcome in outcomes if isinstance(outcome, Reply)]


def is_answer(reply: Reply, shown: str) -> bool:
    proto_name = header(reply.headers, "proto-name")
    return answers.Comparison().is_answer(reply.value, proto_name, shown)


def altered(reply: Reply, old: str, new: str) -> Reply:
    """Returns the reply with a text replaced by another one of the same length in bytes."""
    assert old.encode() in reply.value
    assert len(old.encode()) == len(new.encode())
    return reply._replace(value=reply.value.replace(old.encode(), new.encode(), 1))


def in_format(wire_format: str) -> tuple[Reply, str, int]:
    """Returns a reply in a format with as many images as possible, its images, and its number."""
    largest = max(image_count for name, image_count in images.MIX if name == wire_format)
    number = images.MIX.index((wire_format, largest))
    (reply,) = replies(range(number, number + 1))
    return reply, images.message(number).shown, number


def test_each_message_of_the_load_has_its_answer_and_no_other() -> None:
    numbers = range(2 * len(images.MIX))
    found = replies(numbers)
    assert len(found) == len(numbers)
    for number, reply in zip(numbers, found, strict=True):
        assert is_answer(reply, images.message(number).shown)
        assert not is_answer(reply, images.message(number + 1).shown)
        first, count = images.message(number).shown.split("+")
        assert not is_answer(reply, f"{int(first) + 1}+{count}")
        assert not is_answer(reply, f"{first}+{int(count) + 1}")


def test_an_answer_with_a_small_difference_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    (reply,) = replies(range(1))
    shown = images.message(0).shown
    assert is_answer(reply, shown)
    assert not is_answer(reply._replace(value=b"nonsense"), shown)
    off = answers.answers()._replace(rows=answers.answers().rows + np.float64(1e-4))
    monkeypatch.setattr(answers, "answers", lambda: off)
    assert not is_answer(reply, shown)


@pytest.mark.parametrize("wire_format", ["ndarray", "tensor", "v2", "protobuf"])
def test_swapped_labels_of_neighbours_are_found(wire_format: str) -> None:
    reply, shown, _ = in_format(wire_format)
    labels = answers.answers().tags["label"]
    first, second = (labels[int(shown.split("+")[0]) + step] for step in (0, 1))
    assert first != second
    assert is_answer(reply, shown)
    swapped = altered(altered(altered(reply, first, "@@@"), second, first), "@@@", second)
    assert not is_answer(swapped, shown)


@pytest.mark.parametrize("wire_format", ["ndarray", "tensor", "v2", "protobuf"])
def test_a_wrong_name_is_found(wire_format: str) -> None:
    reply, shown, _ = in_format(wire_format)
    assert not is_answer(altered(reply, "tsu", "tsa"), shown)


@pytest.mark.parametrize("wire_format", ["ndarray", "tensor", "v2"])
def test_a_wrong_abstain_is_found(wire_format: str) -> None:
    reply, shown, _ = in_format(wire_format)
    wrong = reply._replace(value=reply.value.replace(b"false", b"true", 1))
    assert wrong != reply
    assert not is_answer(wrong, shown)


def test_a_wrong_abstain_confidence_or_model_in_a_protobuf_is_found() -> None:
    reply, shown, _ = in_format("protobuf")
    for change in (_change_abstain, _change_confidence, _change_model):
        message = prediction_pb2.SeldonMessage.FromString(reply.value)
        change(message.meta.tags)
        assert not is_answer(reply._replace(value=message.SerializeToString()), shown)


def _change_abstain(tags: Any) -> None:
    value = tags["abstain"].list_value.values[1]
    value.bool_value = not value.bool_value


def _change_confidence(tags: Any) -> None:
    tags["confidence"].list_value.values[1].number_value += 1e-4


def _change_model(tags: Any) -> None:
    tags["model"].string_value = "another"


@pytest.mark.parametrize("wire_format", ["tensor", "v2"])
def test_a_wrong_shape_is_found(wire_format: str) -> None:
    reply, shown, _ = in_format(wire_format)
    rows = int(shown.split("+")[1])
    assert not is_answer(altered(reply, f"[{rows},10]", f"[10,{rows}]"), shown)


def test_right_replies_are_remembered_by_their_bytes_without_the_puid() -> None:
    comparison = answers.Comparison()
    for wire_format in ("ndarray", "v2", "protobuf", "tfserving"):
        reply, shown, number = in_format(wire_format)
        (again,) = replies(range(number + _PERIOD, number + _PERIOD + 1))
        proto_name = header(reply.headers, "proto-name")
        assert (reply.value == again.value) == (wire_format == "tfserving")
        assert comparison.is_answer(reply.value, proto_name, shown)
        assert comparison.is_answer(again.value, proto_name, shown)
        wrong = again.value.replace(b"tsu", b"tsa").replace(b"[0.", b"[9.", 1)
        assert not comparison.is_answer(wrong, proto_name, shown)
        other = f"{int(shown.split('+')[0]) + 1}+{shown.split('+')[1]}"
        assert not comparison.is_answer(again.value, proto_name, other)


def test_no_image_is_close_to_another_label_or_to_a_threshold() -> None:
    rows = np.sort(answers.answers().rows, axis=1)
    assert (rows[:, -1] - rows[:, -2]).min() > 10 * answers.TOLERANCE
    artefact = chosen_artefact()
    assert np.abs(rows[:, -1] - artefact.abstain_below).min() > 10 * answers.TOLERANCE
    scores = np.array(answers.answers().tags.get("outlier_score", [-1.0]))
    assert np.abs(scores - artefact.outlier_above).min() > 10 * answers.TOLERANCE


@pytest.mark.parametrize(("kind", "worker"), [(Buffered, "a.0"), (NotRowWise, "b.0")])
def test_each_user_model_of_the_replicas_gives_the_expected_answers(
    kind: type[Faulty], worker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER, str(tmp_path))
    monkeypatch.setenv(REPLICA, worker[0])
    monkeypatch.setattr(KillPoints, "install", lambda self: None)
    instance = kind()
    instance.load()
    encoded = [images.message(number) for number in range(2 * len(images.MIX))]
    records = [record(each.value, number, each.headers) for number, each in enumerate(encoded)]
    outcomes = Pipeline(UserModel(instance), 1_000_000).run(records).outcomes
    comparison = answers.Comparison()
    for each, outcome in zip(encoded, outcomes, strict=True):
        assert isinstance(outcome, Reply)
        proto_name = header(outcome.headers, "proto-name")
        assert comparison.is_answer(outcome.value, proto_name, each.shown, worker)
