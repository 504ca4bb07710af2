"""Pictures that are not kuzushiji, to train and to test the outlier detector."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.outliers import (
    KINDS,
    TRAINING_KINDS,
    Sources,
    draw,
    evaluation_sources,
    training_sources,
)

REAL = np.random.default_rng(5).integers(0, 256, (9, 28, 28)).astype(np.uint8)
COUNT = 12


@pytest.fixture(params=["training", "evaluation"])
def sources(request: pytest.FixtureRequest) -> Sources:
    return (training_sources if request.param == "training" else evaluation_sources)(REAL)


@pytest.mark.parametrize("kind", TRAINING_KINDS)
def test_pictures_have_the_shape_of_those_of_the_data_set(kind: str, sources: Sources) -> None:
    pictures = draw(kind, COUNT, sources)
    assert pictures.shape == (COUNT, 28, 28)
    assert pictures.dtype == np.uint8


@pytest.mark.parametrize("kind", TRAINING_KINDS)
def test_pictures_are_reproducible_and_differ_from_each_other(kind: str, sources: Sources) -> None:
    pictures = draw(kind, COUNT, sources)
    assert np.array_equal(draw(kind, COUNT, sources), pictures)
    assert len(np.unique(pictures, axis=0)) > 1


@pytest.mark.parametrize("kind", TRAINING_KINDS)
def test_another_seed_gives_other_pictures(kind: str) -> None:
    sources = training_sources(REAL)
    other = draw(kind, COUNT, dataclasses.replace(sources, seed=7))
    assert not np.array_equal(draw(kind, COUNT, sources), other)


def test_a_smaller_count_gives_the_first_pictures() -> None:
    sources = training_sources(REAL)
    assert np.array_equal(draw("noise", 3, sources), draw("noise", COUNT, sources)[:3])


def test_the_detector_is_tested_on_no_file_that_it_was_trained_on() -> None:
    def files(sources: Sources) -> set[Path]:
        return {*sources.fonts, *sources.photographs}

    learned, tried = files(training_sources(REAL)), files(evaluation_sources(REAL))
    assert not learned & tried
    assert not {file.read_bytes() for file in learned} & {file.read_bytes() for file in tried}
    assert training_sources(REAL).seed != evaluation_sources(REAL).seed


def test_the_detector_is_tested_on_kinds_that_it_was_trained_on() -> None:
    assert set(KINDS) < set(TRAINING_KINDS)


def test_both_uses_have_several_fonts_and_a_photograph(sources: Sources) -> None:
    assert len({file.stem.split("-")[0] for file in sources.fonts}) >= 3
    assert sources.photographs
    for file in sources.photographs:
        with Image.open(file) as picture:
            assert min(picture.size) > 28 * 2


@pytest.mark.parametrize("kind", ["digits", "latin letters"])
def test_characters_are_light_on_dark_and_fill_the_picture(kind: str, sources: Sources) -> None:
    pictures = draw(kind, COUNT, sources)
    rows = (pictures > 100).any(axis=2).sum(axis=1)
    assert np.median(rows) > 15
    assert (pictures[:, [0, 0, -1, -1], [0, -1, 0, -1]] < 100).mean() > 0.9
