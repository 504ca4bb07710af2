"""Loading of the shipped artefacts for serving."""

import functools
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.artefacts import SHIPPED, ArtefactError
from model.chosen import VARIANTS
from model.loader import BASELINE, Baseline, Classifier, load_baseline, load_classifier
from tests.support.environments import TRAINING_PYTHON, with_tensorflow
from tests.support.patience import patient

IMAGES = np.random.default_rng(5).integers(0, 256, (150, 28, 28)).astype(np.uint8)
LOADED = [*VARIANTS, "baseline"]
# The baseline needs a second where the networks need a hundredth.
ONE_BY_ONE = [
    pytest.param(each, marks=pytest.mark.full) if each == "baseline" else each for each in LOADED
]

# A model with uint8 input and output, as converters make it on request.
INTEGER_MODEL = """
import sys
import keras, numpy as np, tensorflow as tf
pixels = keras.Input((28, 28, 1))
flat = keras.layers.Reshape((784,))(pixels)
model = keras.Model(pixels, keras.layers.Dense(10, activation="softmax")(flat))
converter = tf.lite.TFLiteConverter.from_keras_model(model)
converter.optimizations = [tf.lite.Optimize.DEFAULT]
converter.representative_dataset = lambda: [[np.zeros((1, 28, 28, 1), np.float32)]]
converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
converter.inference_input_type = converter.inference_output_type = tf.uint8
open(sys.argv[1], "wb").write(converter.convert())
"""


@functools.cache
def loaded(kind: str) -> Any:
    """Returns a classifier from a cache, because the baseline takes seconds to load."""
    return load_baseline() if kind == "baseline" else load_classifier(SHIPPED / kind)


@pytest.mark.parametrize("kind", ONE_BY_ONE)
@settings(deadline=None, max_examples=25)
@given(cuts=st.lists(st.integers(0, len(IMAGES)), max_size=6))
def test_a_row_does_not_depend_on_the_batch(kind: str, cuts: list[int]) -> None:
    classifier = loaded(kind)
    whole = classifier.probabilities(IMAGES)
    parts = [classifier.probabilities(part) for part in np.split(IMAGES, sorted(cuts))]
    assert np.abs(np.concatenate(parts) - whole).max() < 1e-5


@pytest.mark.parametrize("kind", LOADED)
def test_bytes_and_floats_give_the_same_probabilities(kind: str) -> None:
    answers = loaded(kind).probabilities(IMAGES)
    assert answers.shape == (150, 10)
    assert answers.dtype == np.float32
    assert np.allclose(answers.sum(axis=1), 1, atol=1e-5)
    assert np.array_equal(loaded(kind).probabilities(IMAGES.astype(np.float32)), answers)


@pytest.mark.parametrize("kind", LOADED)
def test_no_images_give_no_answers(kind: str) -> None:
    assert loaded(kind).probabilities(IMAGES[:0]).shape == (0, 10)


@pytest.mark.parametrize("kind", LOADED)
def test_another_shape_is_refused(kind: str) -> None:
    with pytest.raises(ValueError, match=r"expected images of shape \(n, 28, 28\)"):
        loaded(kind).probabilities(IMAGES.reshape(-1, 784))


@pytest.mark.parametrize("kind", ONE_BY_ONE)
def test_threads_that_share_a_classifier_get_their_own_answers(kind: str) -> None:
    classifier = loaded(kind)
    expected = classifier.probabilities(IMAGES)

    def ask(start: int) -> bool:
        got = classifier.probabilities(IMAGES[start : start + 9])
        return bool(np.allclose(got, expected[start : start + 9], atol=1e-5))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, [index % 140 for index in range(400)]))


def test_a_missing_artefact_and_another_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match=r"cannot read .*absent"):
        load_classifier(tmp_path / "absent")
    for kind in (Classifier, Baseline):
        with pytest.raises(ArtefactError, match="not "):
            kind(b"something else")


def test_a_reason_of_several_lines_becomes_one_line() -> None:
    def refused(**_: Any) -> None:
        raise ValueError("Encountered unresolved custom op: Flex.\nSee the guide.")

    with pytest.raises(ArtefactError, match=r"custom op: Flex\. See the guide\.$"):
        Classifier(b"", interpreter=refused)


def test_an_artefact_of_the_other_kind_is_refused() -> None:
    with pytest.raises(ArtefactError, match="not a TFLite model"):
        load_classifier(BASELINE)
    with pytest.raises(ArtefactError, match="not a baseline of this project"):
        load_baseline(SHIPPED / "fast")


@pytest.mark.full
@with_tensorflow
def test_a_network_of_integers_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "whole.tflite"
    subprocess.run(
        [str(TRAINING_PYTHON), "-c", INTEGER_MODEL, str(out)], check=True, timeout=patient(120)
    )
    with pytest.raises(ArtefactError, match="are float32"):
        Classifier(out.read_bytes())
