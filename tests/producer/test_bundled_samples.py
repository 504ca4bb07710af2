"""The samples in the repository."""

import csv
from pathlib import Path

import numpy as np
import pytest

from model.labels import HIRAGANA
from model.loader import load_classifier
from producer import draw_samples
from producer.bundled_samples import SAMPLES, load_samples


def test_there_are_ten_of_each_character_with_their_labels() -> None:
    samples = load_samples()
    assert samples.images.shape == (100, 28, 28)
    assert samples.images.dtype == np.uint8
    assert np.bincount(samples.labels).tolist() == [10] * 10
    assert len(set(samples.names)) == 100
    assert samples.names[0] == "sample_0.jpg"
    assert {Path(name).suffix for name in samples.names} == {".jpg", ".png"}


def test_the_shipped_network_classifies_nine_of_ten_correctly() -> None:
    samples = load_samples()
    answers = load_classifier().probabilities(samples.images).argmax(axis=1)
    assert np.mean(answers == samples.labels) >= 0.9


def test_the_samples_are_small_and_their_licence_names_the_fonts() -> None:
    assert sum(path.stat().st_size for path in SAMPLES.iterdir()) < 300_000
    licence = (SAMPLES / "LICENSE-fonts").read_text(encoding="utf-8")
    assert "SIL OPEN FONT LICENSE" in licence
    with (SAMPLES / "labels.csv").open(encoding="utf-8") as source:
        fonts = {row["font"] for row in csv.DictReader(source)}
    assert all(f"@fontsource/{font} " in licence for font in fonts)


def test_a_drawing_is_the_same_for_the_same_seed_and_differs_for_another() -> None:
    font = draw_samples.font_file(draw_samples.FOLDER, "yuji-syuku")
    if not font.is_file():
        pytest.skip("the fonts are not installed: see producer/draw_samples.py")

    def drawn(seed: int) -> bytes:
        return draw_samples.draw(HIRAGANA[4], font, np.random.default_rng(seed)).tobytes()

    assert drawn(1) == drawn(1) != drawn(2)


def test_without_the_fonts_the_command_says_how_to_get_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["draw_samples", "--fonts", str(tmp_path)])
    assert draw_samples.main() == 1
    assert "npm install --prefix" in capsys.readouterr().out
