"""Tags of models that detect outliers, in every format; other models add no such tags."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from producer.bundled_samples import load_samples
from seldon_kafka.messages import Record
from seldon_kafka.pipeline.load_class import load_class
from seldon_kafka.pipeline.pipeline import Pipeline
from wrapper import KmnistBaseline, KmnistClassifier

SAMPLES = load_samples().images
# Black ink on white paper, as from a sender that does not invert its pictures.
INVERTED = 255 - SAMPLES


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> KmnistClassifier:
    monkeypatch.delenv("MODEL_URI", raising=False)
    monkeypatch.setenv("MODEL_VARIANT", "fast")
    return KmnistClassifier()


def test_an_image_with_a_score_above_the_threshold_is_an_outlier(served: KmnistClassifier) -> None:
    tags = served.predict(np.concatenate([SAMPLES, INVERTED])).tags
    above = float(served.init_metadata()["custom"]["outlier_above"])
    assert tags["outlier"] == [score > above for score in tags["outlier_score"]]
    assert all(0 <= score == round(score, 6) <= 1 for score in tags["outlier_score"])
    assert {type(each) for each in tags["outlier"]} == {bool}


def test_inverted_pictures_are_flagged_far_more_often_than_others(served: KmnistClassifier) -> None:
    inverted = np.mean(served.predict(INVERTED).tags["outlier"])
    assert inverted > np.mean(served.predict(SAMPLES).tags["outlier"]) + 0.5


def test_a_picture_gets_the_same_score_unbatched_and_in_a_batch(served: KmnistClassifier) -> None:
    batched = served.predict(SAMPLES[:9]).tags["outlier_score"]
    unbatched = [served.predict(image).tags["outlier_score"][0] for image in SAMPLES[:9]]
    assert unbatched == pytest.approx(batched, abs=1e-5)


def test_a_model_without_outlier_scores_adds_no_outlier_tags() -> None:
    assert set(KmnistBaseline().predict(SAMPLES[:2]).tags) == {
        *("label", "confidence", "abstain", "model")
    }


def replies(class_name: str, values: list[Any]) -> list[Any]:
    """Returns the stream runtime's replies to the messages of one batch."""
    records = [
        Record("in", 0, offset, 0, None, json.dumps(value).encode(), ())
        for offset, value in enumerate(values)
    ]
    outcomes: list[Any] = Pipeline(load_class(class_name), 2**23).run(records).outcomes
    return [json.loads(outcome.value) for outcome in outcomes]


def test_each_reply_of_a_batch_has_the_tags_of_its_message(served: KmnistClassifier) -> None:
    parts = [SAMPLES[:2], INVERTED[:1]]
    expected = [served.predict(part).tags["outlier"] for part in parts]
    messages = [{"data": {"ndarray": part.tolist()}} for part in parts]
    found = replies("wrapper.KmnistClassifier", messages)
    assert [reply["meta"]["tags"]["outlier"] for reply in found] == expected


def test_open_inference_replies_have_the_tags_as_outputs_over_rest_and_kafka(
    served: KmnistClassifier,
) -> None:
    data = INVERTED[:2].ravel().tolist()
    message = {
        "id": "a",
        "inputs": [{"name": "x", "shape": [2, 28, 28], "datatype": "UINT8", "data": data}],
    }
    over_rest = served.predict_raw(message)
    (streamed,) = replies("wrapper.KmnistClassifier", [message])
    for reply in (over_rest, streamed):
        kinds = [(each["name"], each["datatype"], each["shape"]) for each in reply["outputs"][3:]]
        assert kinds == [
            ("abstain", "BOOL", [2]),
            ("outlier", "BOOL", [2]),
            ("outlier_score", "FP64", [2]),
        ]
