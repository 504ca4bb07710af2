"""Heat maps, their pictures, and the command that writes them."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from model.explanation import PATCH, log_odds, occlusion
from model.heat_map import AGAINST, FOR, SCALE, overlay, png
from model.labels import HIRAGANA, ROMAJI
from model.loader import load_classifier
from producer.bundled_samples import load_samples
from wrapper.explain import main

SAMPLES = load_samples().images
LEFT, RIGHT = np.s_[..., 10:18, 2:8], np.s_[..., 10:18, 20:26]


def by_two_areas(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A model for which ink on the left supports class 3, and ink on the right class 7."""
    logits = np.zeros((len(images), 10))
    logits[:, 3] = images[LEFT].mean(axis=(1, 2)) / 50
    logits[:, 7] = images[RIGHT].mean(axis=(1, 2)) / 100
    powers = np.exp(logits)
    shares: NDArray[np.float32] = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
    return shares


@pytest.fixture
def image() -> NDArray[np.uint8]:
    drawn = np.zeros((28, 28), np.uint8)
    drawn[LEFT] = drawn[RIGHT] = 255
    return drawn


def test_pixels_that_support_the_label_are_above_zero_and_opposing_ones_below(
    image: NDArray[np.uint8],
) -> None:
    heat = occlusion(by_two_areas, image)
    assert heat.shape == (28, 28)
    assert heat.dtype == np.float32
    assert heat[LEFT].min() > 0 > heat[RIGHT].max()
    assert np.abs(heat[:, 8 + PATCH : 20 - PATCH]).max() < 1e-6


def test_any_class_can_be_explained(image: NDArray[np.uint8]) -> None:
    heat = occlusion(by_two_areas, image, 7)
    assert heat[RIGHT].min() > 0 > heat[LEFT].max()


def test_the_value_of_a_pixel_is_the_mean_change_of_the_patches_over_it() -> None:
    dot = np.zeros((28, 28), np.uint8)
    dot[14, 5] = 255
    without = np.zeros_like(dot)
    change = np.diff(log_odds(by_two_areas(np.stack([without, dot])), 3))[0]
    heat = occlusion(by_two_areas, dot, 3)
    assert heat[14, 5] == pytest.approx(change, rel=1e-3)
    assert heat.max() == heat[14, 5]


def test_most_evidence_of_the_served_model_supports_a_label_of_high_confidence() -> None:
    model = load_classifier()
    surest = SAMPLES[np.argsort(model.probabilities(SAMPLES).max(axis=1))[-10:]]
    totals = [occlusion(model.probabilities, each).sum() for each in surest]
    assert np.mean(totals) > 0
    blank = occlusion(model.probabilities, np.zeros((28, 28), np.uint8))
    assert np.abs(blank).max() < 1e-3


def test_supporting_strokes_are_red_and_opposing_ones_are_blue(
    image: NDArray[np.uint8],
) -> None:
    drawn = np.asarray(overlay(image, occlusion(by_two_areas, image)), dtype=np.int64)
    assert drawn.shape == (28 * SCALE, 28 * SCALE, 3)
    left, right = drawn[14 * SCALE, 5 * SCALE], drawn[14 * SCALE, 23 * SCALE]
    assert left[0] > left[2] + 50
    assert right[2] > right[0] + 20
    assert list(drawn[0, 14 * SCALE]) == [255, 255, 255]
    assert np.argmax(FOR) == 0
    assert np.argmax(AGAINST) == 2


def test_a_picture_without_evidence_is_grey() -> None:
    picture = Image.open(io.BytesIO(png(SAMPLES[0], np.zeros((28, 28), np.float32))))
    colours = np.asarray(picture, dtype=np.int64)
    assert np.ptp(colours, axis=2).max() == 0
    assert colours.min() < 120


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MODEL_URI", raising=False)
    monkeypatch.delenv("MODEL_VARIANT", raising=False)
    monkeypatch.chdir(tmp_path)
    Image.fromarray(SAMPLES[0]).save("picture.png")
    Path("raw").write_bytes(SAMPLES[0].tobytes())
    Path("raw like JSON").write_bytes(b"{" + SAMPLES[0].tobytes()[1:])
    Path("message.json").write_text(json.dumps({"data": {"ndarray": SAMPLES[:2].tolist()}}))
    tensor = {"name": "x", "shape": [1, 784], "datatype": "UINT8", "data": SAMPLES[0].tolist()}
    # The producer writes one message per line.
    Path("lines").write_text(f"{json.dumps({'inputs': [tensor]})}\n" * 2)
    return tmp_path


@pytest.mark.parametrize("source", ["picture.png", "raw", "raw like JSON", "message.json", "lines"])
def test_the_command_prints_the_answer_and_writes_the_picture(
    folder: Path, capsys: Any, source: str
) -> None:
    assert main([source]) == 0
    lines = capsys.readouterr().out.splitlines()
    answers = load_classifier().answers(SAMPLES[:1])
    best = int(answers.probabilities.argmax())
    name = f"{HIRAGANA[best]} {ROMAJI[best]}"
    confidence = 100 * answers.probabilities.max()
    assert lines[0].startswith(f"{name}, confidence {confidence:.2f} %")
    assert ("outlier" in lines[0]) == (answers.outlier is not None)
    assert lines[1] == f"explanation.png: heat map for {name}"
    with Image.open("explanation.png") as picture:
        assert picture.size == (28 * SCALE, 28 * SCALE)


def test_another_class_gives_another_picture(folder: Path, capsys: Any) -> None:
    assert main(["picture.png"]) == main(["picture.png", "--class", "ki", "--out", "ki.png"]) == 0
    assert main(["picture.png", "--class", "き", "--out", "again.png"]) == 0
    assert "ki.png: heat map for き ki" in capsys.readouterr().out
    assert Path("ki.png").read_bytes() == Path("again.png").read_bytes()
    assert Path("ki.png").read_bytes() != Path("explanation.png").read_bytes()


def test_the_command_reads_standard_input(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    with Path("picture.png").open() as source:
        monkeypatch.setattr("sys.stdin", source)
        assert main(["-"]) == 0


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["absent.png"], 1, "absent.png"),
        (["large.png"], 1, "expected a picture of 28 x 28 pixels, got 80 x 80"),
        (["broken.json"], 1, "broken.json is not valid JSON"),
        (["ragged.json"], 1, "can't be read as arrays"),
        (["deep.json"], 1, "deep.json is nested too deeply"),
        (["rather deep.json"], 1, "can't be read as arrays"),
        (["empty.json"], 1, "Invalid request data type"),
        (["picture.png", "--out", "nowhere/x.png"], 1, "nowhere"),
        (["picture.png", "--class", "x"], 2, "no class is called 'x'"),
        (["picture.png", "--method", "guess"], 2, "guess"),
        ([], 2, "picture"),
    ],
)
def test_an_error_is_one_line(
    folder: Path, capsys: Any, arguments: list[str], status: int, words: str
) -> None:
    Image.new("L", (80, 80)).save("large.png")
    Path("broken.json").write_text("{")
    Path("empty.json").write_text("{}")
    Path("deep.json").write_text('{"data": ' + 100_000 * "[")
    Path("rather deep.json").write_text(f'{{"data": {{"ndarray": {800 * "["}1{800 * "]"}}}}}')
    Path("ragged.json").write_text('{"data": {"ndarray": [[1, 2], [3]]}}')
    try:
        assert main(arguments) == status
    except SystemExit as exited:
        assert exited.code == status
    errors = [line for line in capsys.readouterr().err.splitlines() if "error: " in line]
    assert len(errors) == 1
    assert words in errors[0]
    assert not Path("explanation.png").exists()


@pytest.mark.parametrize(
    ("setting", "value"), [("MODEL_VARIANT", "slow"), ("MODEL_URI", "~nobody-of-this-name/model")]
)
def test_a_wrong_choice_of_model_is_one_error_line(
    folder: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch, setting: str, value: str
) -> None:
    monkeypatch.setenv(setting, value)
    assert main(["picture.png"]) == 2
    output = capsys.readouterr().err
    assert output.startswith(f"error: {setting} is '{value}': ")
    assert output.count("\n") == 1


def test_ctrl_c_ends_the_command_with_one_line(
    folder: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("wrapper.explain.occlusion", interrupted)
    assert main(["picture.png"]) == 130
    assert capsys.readouterr().err == "stopped; no picture was written\n"


def test_the_error_for_gradients_without_tensorflow_names_it(folder: Path, capsys: Any) -> None:
    pytest.importorskip("ai_edge_litert")  # environments with it do not have TensorFlow
    assert main(["picture.png", "--method", "gradients"]) == 1
    assert "gradients need TensorFlow" in capsys.readouterr().err
