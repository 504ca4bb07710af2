"""The figures and the generation of docs/model.md."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.artefacts import SHIPPED, read_artefact
from model.evaluate import main
from model.loader import Answers
from model.pages import write_page
from model.quality import quality, wilson_interval
from model.robustness import DISTORTIONS, distorted

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_page_and_its_pictures_match_the_figures(tmp_path: Path) -> None:
    for name in ("model.md", "model.json", "model-grid.json", "benchmark.json"):
        shutil.copy(DOCS / name, tmp_path)
    page = write_page(tmp_path)
    assert page.read_text("utf-8") == (DOCS / "model.md").read_text("utf-8")
    drawn = {path.name for path in (tmp_path / "model").glob("*.svg")}
    assert drawn == {path.name for path in (DOCS / "model").glob("*.svg")}


def test_figures_of_two_splits_are_not_mixed_on_one_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(DOCS / "model.json", tmp_path)
    assert main(["fast", "--split", "validation", "--out", str(tmp_path)]) == 1
    assert "has figures of the test split" in capsys.readouterr().err
    assert (tmp_path / "model.json").read_text() == (DOCS / "model.json").read_text()


def test_perfect_answers_are_measured_as_perfect() -> None:
    labels = np.arange(100) % 10
    answers = Answers(np.eye(10, dtype=np.float32)[labels], np.zeros(100, np.float32))
    found = quality(answers, labels, read_artefact(SHIPPED / "fast"))
    assert found["accuracy"] == 1
    assert found["calibration"]["error"] == 0
    assert np.array_equal(found["confusion"], 10 * np.eye(10))
    assert set(found["risk_coverage"]["at"].values()) == {0}
    assert found["flagged"] == 0
    json.dumps(found)


def test_a_confident_mistake_lowers_accuracy_calibration_and_coverage() -> None:
    labels = np.arange(100) % 10
    probabilities = np.eye(10, dtype=np.float32)[labels]
    probabilities[0] = np.eye(10)[1]
    found = quality(Answers(probabilities, None), labels, read_artefact(SHIPPED / "fast"))
    assert found["right"] == 99
    assert found["confusion"][0][1] == 1
    assert found["calibration"]["error"] == pytest.approx(0.01)
    assert found["risk_coverage"]["at"]["1"] == pytest.approx(0.01)
    assert found["flagged"] is None


@given(right=st.integers(0, 1000))
def test_the_interval_contains_the_share(right: int) -> None:
    low, high = wilson_interval(right, 1000)
    assert -1e-9 <= low <= right / 1000 <= high <= 1 + 1e-9


def test_the_interval_is_the_published_one() -> None:
    # Newcombe, Statistics in Medicine 17, 1998, table I, method 3: 81 of 263.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)


@pytest.mark.parametrize("name", DISTORTIONS)
def test_a_distortion_grows_with_its_strength_and_changes_nothing_at_zero(name: str) -> None:
    random = np.random.default_rng(2)
    images = np.zeros((12, 28, 28), np.uint8)
    images[:, 8:20, 8:20] = random.integers(0, 256, (12, 12, 12))
    change = {
        strength: float(np.abs(made.astype(float) - images).mean())
        for strength, made in distorted(DISTORTIONS[name], images)
    }
    assert change[0] == 0
    falling = [change[each] for each in sorted(change) if each <= 0]
    rising = [change[each] for each in sorted(change) if each >= 0]
    assert falling == sorted(falling, reverse=True)
    assert rising == sorted(rising)
